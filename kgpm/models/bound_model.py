"""The package's one training step and one test step."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kgpm.errors import UserError
from kgpm.ops import KL_MEMORY
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import nelbo
from kgpm.ops import nelbo_full
from kgpm.ops import sum_over_replicas


class BoundModel(keras.Model):
    """A model trained on per-image terms of a variational bound.

    A subclass computes `bound_terms`, a dict of `[B, T]` tensors in nats, and
    says which ones in `term_names`. The step below turns them into one loss,
    exact on any number of replicas and for uneven batches: the global weight
    of the batch and the gradients are summed over the replicas here, the
    global norm is clipped after that, and each replica hands its share to the
    optimizer, which sums once more.

    Batches are `{"images": [B, T, H, W, C], "weights": [B, T]}` or images
    alone; an image of weight 0 counts nowhere. A replica whose share of a
    batch is empty is given one absent episode: not every operation takes none.
    """

    # Auxiliary terms are trained on, but belong to no bound.
    auxiliary_weights: Mapping[str, float] = {}
    # Divergences whose weight in the loss is not 1; metrics show all of them
    # at weight 1.
    kl_weights: Mapping[str, float] = {}

    @property
    def monitor(self) -> str:
        """Which figure tells the best epoch, lowest first."""
        return "nelbo"

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms of `bound_terms`, `nll` first."""
        raise NotImplementedError

    def bound_terms(
        self,
        images: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Per-image terms of the bound, each `[B, T]` in nats."""
        raise NotImplementedError

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        """Metrics of what terms hold beside the bound, by their names there.

        `usage` `[B, T, K]`, how an image uses K codes, is for a
        `CodePerplexity`.
        """
        return {}

    def training_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        """`bound_terms` in training mode plus the auxiliary terms."""
        return self.bound_terms(images, weights, seed, training=True)

    def compile(
        self,
        optimizer: Any = "adam",
        kl_warmup_steps: int = 0,
        kl_warmup_terms: Sequence[str] | None = None,
        seed: int = 0,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: a Keras optimizer or its name. Its `global_clipnorm`
                is honoured, also over replicas.
            kl_warmup_steps: steps over which the divergences' weight in the
                loss rises linearly from 0 to 1. Metrics always show them at
                weight 1.
            kl_warmup_terms: the divergences that the warm-up holds back,
                such as `["kl_y"]`; by default all of them.
            seed: of the training noise; with the optimizer's step it fixes
                every draw.
            jit_compile: whether XLA compiles the step. Off by default:
                compiled convolutions are slower on a CPU, and XLA draws
                other noise from the same seed.
            **kwargs: of `keras.Model.compile`, but no losses or metrics: the
                model's terms are both.

        Raises:
            UserError: per-variable clipping, float16, which would need
                loss scaling, XLA on several replicas, or a warm-up of terms
                that there are not.
        """
        optimizer = keras.optimizers.get(optimizer)
        if optimizer.clipnorm is not None or optimizer.clipvalue is not None:
            raise UserError(
                "Expected an optimizer that clips by global_clipnorm only, "
                "received clipnorm or clipvalue; pass global_clipnorm."
            )
        if keras.config.dtype_policy().compute_dtype == "float16":
            raise UserError(
                "Expected a dtype policy of float32 or mixed_bfloat16, "
                "received mixed_float16, which would need loss scaling."
            )
        replicas = self.distribute_strategy.num_replicas_in_sync
        if jit_compile and replicas > 1:
            raise UserError(
                f"Expected no XLA on {replicas} replicas, received --xla "
                "(jit_compile=True): it cannot compile the sums over replicas "
                "that statistics and codebooks take amid a step; leave it out."
            )
        if kl_warmup_steps < 0:
            raise UserError(
                "Expected kl_warmup_steps of at least 0, "
                f"received {kl_warmup_steps}."
            )
        divergences = [n for n in self.term_names if n.startswith("kl_")]
        if kl_warmup_terms is None:
            kl_warmup_terms = divergences
        elif unknown := set(kl_warmup_terms) - set(divergences):
            raise UserError(
                f"Expected kl_warmup_terms among {', '.join(divergences)}, "
                f"received {', '.join(sorted(unknown))}."
            )
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.kl_warmup_steps = kl_warmup_steps
        self.kl_warmup_terms = list(kl_warmup_terms)
        self.noise_seed = seed
        names = ["loss", "nelbo", *self.term_names, *self.auxiliary_weights]
        if KL_MEMORY in self.term_names:
            names.insert(2, "nelbo_full")
        self._term_metrics = {
            name: keras.metrics.Mean(name=name) for name in names
        }
        self._term_metrics.update(self.figure_metrics())
        self._gradient_norm = keras.metrics.Mean(name="gradient_norm")

    def get_compile_config(self) -> dict | None:
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "kl_warmup_steps": self.kl_warmup_steps,
            "kl_warmup_terms": self.kl_warmup_terms,
            "seed": self.noise_seed,
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list:
        if not self.compiled:
            return []
        return [*self._term_metrics.values(), self._gradient_norm]

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`, after a look at the first batches' pixels.

        Grey pixels under a Bernoulli likelihood train without complaint, but
        their "bound" is none. A generator or a `PyDataset` is taken unseen.

        Raises:
            UserError: pixels that the model cannot score, in the first batch
                of the training or the validation data.
        """
        self._check_first_batch(x)
        self._check_first_batch(kwargs.get("validation_data"))
        if hasattr(x, "element_spec"):
            # The order is the data set's; Keras would warn about it.
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`, after the same look.

        Raises:
            UserError: pixels that the model cannot score.
        """
        # Within `fit`, Keras hands the data over in an iterator of its own.
        self._check_first_batch(x)
        return super().evaluate(x, *args, **kwargs)

    def check_pixels(self, images: Any) -> None:
        """Raises a `UserError` for a NumPy array of images of other pixels."""

    def _check_first_batch(self, data: Any) -> None:
        first = data
        if hasattr(data, "element_spec"):
            first = next(iter(data))
        if hasattr(first, "shape") or isinstance(first, Mapping):
            images, _ = unpack_batch(first)
            self.check_pixels(ops.convert_to_numpy(images))

    def make_train_function(self, force: bool = False) -> Any:
        # A step that makes the optimizer's variables is traced twice: once to
        # make them, once to use them.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def train_step(self, data: Any) -> dict[str, Any]:
        replica = tf.distribute.get_replica_context()
        replicas = replica.num_replicas_in_sync
        images, weights = _share(data, replicas)
        step = self.optimizer.iterations
        seed = fold_in(fold_in(self.noise_seed, step), _replica_id(replica))
        total = sum_over_replicas(ops.sum(weights))
        with tf.GradientTape() as tape:
            terms = self.training_terms(images, weights, seed)
            per_image = self.loss_of(terms, self._kl_weight(step))
            loss = ops.sum(weights * per_image) / ops.maximum(total, 1e-12)
        # A variable that a loss does not reach stays where it is.
        gradients = tape.gradient(
            loss,
            self.trainable_variables,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        # An embedding's gradient comes as the rows that it took.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        gradients = sum_over_replicas(gradients)
        norm = tf.linalg.global_norm(gradients)
        limit = self.optimizer.global_clipnorm
        if limit is not None:
            # Scaled here, before the share of a replica is taken: Keras
            # clips each share, which would be another step.
            gradients, _ = tf.clip_by_global_norm(gradients, limit, norm)
        self.optimizer.apply(
            [gradient / replicas for gradient in gradients],
            self.trainable_variables,
        )
        self._update_metrics(terms, per_image, weights)
        self._gradient_norm.update_state(norm)
        return _logs(self.get_metrics_result())

    def test_step(self, data: Any) -> dict[str, Any]:
        replica = tf.distribute.get_replica_context()
        images, weights = _share(data, replica.num_replicas_in_sync)
        # The weight scored so far differs from batch to batch and starts at
        # zero in every evaluation: fresh noise a batch, the same each time.
        scored = sum_over_replicas(
            tf.identity(self._term_metrics["loss"].count)
        )
        seed = fold_in(fold_in(self.noise_seed, scored), _replica_id(replica))
        terms = self.validation_terms(images, weights, seed)
        self._update_metrics(terms, self.loss_of(terms, 1.0), weights)
        results = self.get_metrics_result()
        # Without the auxiliary terms the loss is not that of training: shown
        # beside it, it would only look better.
        skipped = {self._gradient_norm.name, *self.auxiliary_weights}
        if self.auxiliary_weights:
            skipped.add("loss")
        return _logs({k: v for k, v in results.items() if k not in skipped})

    def validation_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        """The terms that tell how training goes: `bound_terms` as a rule."""
        return self.bound_terms(images, weights, seed)

    def loss_of(self, terms: Mapping[str, Any], kl_weight: Any) -> Any:
        """The loss of each image, `[B, T]`.

        Args:
            terms: of training or of validation.
            kl_weight: weight of the divergences that are warmed up.
        """
        loss = terms["nll"]
        for name, value in terms.items():
            if name.startswith("kl_"):
                weight = self.kl_weights.get(name, 1.0)
                if name in self.kl_warmup_terms:
                    weight = kl_weight * weight
                loss = loss + weight * value
            elif name in self.auxiliary_weights:
                loss = loss + self.auxiliary_weights[name] * value
        return loss

    def _kl_weight(self, step: Any) -> Any:
        if self.kl_warmup_steps == 0:
            return 1.0
        share = (ops.cast(step, "float32") + 1.0) / self.kl_warmup_steps
        return ops.minimum(share, 1.0)

    def _update_metrics(
        self, terms: Mapping[str, Any], loss: Any, weights: Any
    ) -> None:
        values = {**terms, "loss": loss, "nelbo": nelbo(terms)}
        if KL_MEMORY in terms:
            values["nelbo_full"] = nelbo_full(terms)
        for name, value in values.items():
            self._term_metrics[name].update_state(value, weights)

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        """Epoch results from the metrics themselves, for the names in `logs`.

        Keras does so only where a step returned every metric; otherwise it
        takes the last batch's mean over replicas, which is not exact. The
        test step leaves out what only training has.
        """
        results = self.get_metrics_result()
        return {name: results.get(name, logs[name]) for name in logs}

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Nothing to do: every model is built by its constructor.

        Keras would trace a throw-away step here, which fails for uneven
        batches under a distribution strategy.
        """


def unpack_batch(data: Any) -> tuple[Any, Any]:
    """Images `[B, T, H, W, C]` and weights `[B, T]` of a batch.

    Where a model takes plain images, `[N, H, W, C]` and `[N]`.
    """
    data = keras.utils.unpack_x_y_sample_weight(data)[0]
    if isinstance(data, Mapping):
        images, weights = data["images"], data.get("weights")
    else:
        images, weights = data, None
    images = ops.convert_to_tensor(images)
    if weights is None:
        weights = ops.ones(ops.shape(images)[:-3])
    return images, ops.cast(weights, "float32")


def _share(data: Any, replicas: int) -> tuple[Any, Any]:
    """What a replica has of a batch, see `unpack_batch`: never no episode."""
    images, weights = unpack_batch(data)
    if replicas == 1 or images.shape[0]:
        return images, weights
    missing = tf.cast(tf.shape(images)[0] == 0, tf.int32)
    padded = []
    for values in (images, weights):
        behind = tf.scatter_nd([[0, 1]], [missing], [values.shape.rank, 2])
        filled = tf.pad(values, behind)
        filled.set_shape([None, *values.shape[1:]])
        padded.append(filled)
    return padded[0], padded[1]


def _logs(results: dict[str, Any]) -> dict[str, Any]:
    """Results in the shape in which Keras averages them over replicas.

    Over those of several hosts it does so along an axis of each value.
    """
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return results
    return {name: tf.reshape(value, [1]) for name, value in results.items()}


def _replica_id(replica: Any) -> Any:
    return make_seed(replica.replica_id_in_sync_group)[0]
