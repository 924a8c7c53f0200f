"""A model of parts, encoder, memory, decoder, likelihood, and its bound."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kgpm import likelihoods
from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_count
from kgpm.errors import check_not_negative
from kgpm.layers import Draw
from kgpm.layers import as_decoder
from kgpm.layers import as_encoder
from kgpm.layers import as_memory
from kgpm.layers import check_image_shape
from kgpm.models import parts
from kgpm.models.bound_model import BoundModel
from kgpm.ops import KL_MEMORY
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import nelbo
from kgpm.ops import split_seed


@keras.saving.register_keras_serializable(package="kgpm")
class LatentModel(Configured, BoundModel):
    """A generative memory model: an encoder, a memory, a decoder, a likelihood.

    Following images `[B, T, H, W, C]`: the encoder gives codes `[B, T, C]`,
    the memory writes them and is sampled for latents, the decoder makes
    likelihood parameters of these, the likelihood gives nats. What differs
    between systems is in the parts, and a system is a thin constructor.

    A memory is a value: `write` returns it, the others take it, and the model
    keeps none. A model whose memory stores nothing (`memory.stores`) takes
    `memory=None` and also plain batches `[N, H, W, C]`. Seeds are integers or
    `int32[2]` tensors. Every public method also runs inside a `tf.function`.

    Args:
        image_shape: `(H, W, C)`.
        encoder: an `Encoder`, or any Keras layer from `[N, H, W, C]` to
            `[N, C]`.
        memory: a `kgpm.layers.Memory`.
        decoder: a `Decoder`, or any Keras layer from `[N, L]` to
            `[N, H, W, likelihood.num_parameters(C)]`.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        autoencoder_weight: weight in the loss of `-log p(x | dec(enc(x)))`,
            which bypasses the memory and keeps decoder and encoder mutual
            inverses, so that repeated reading is stable. Never in a bound.
        memory_kl_weight: weight of `kl_memory` in the loss, 1 by default;
            metrics and evaluation always have it at weight 1. For memories
            with a density.
        held_out_weight: weight in the loss of the bound of each image under a
            memory of the others, so that both are trained for. Never in a
            bound of its own; for memories that leave each code out.
        num_inner_reads: attractor reads inside the likelihood: how often the
            latents are decoded, encoded and read again before the images are
            scored, a fixed function of latents and memory. For encoders that
            see each image on its own, and memories without a density.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: parts that do not fit each other, negative weights, or
            options without effect.
    """

    def __init__(
        self,
        image_shape: tuple,
        encoder: keras.layers.Layer,
        memory: keras.layers.Layer,
        decoder: keras.layers.Layer,
        likelihood: Any,
        *,
        autoencoder_weight: float = 0.0,
        memory_kl_weight: float | None = None,
        held_out_weight: float = 0.0,
        num_inner_reads: int = 0,
        **kwargs: Any,
    ) -> None:
        check_not_negative(
            autoencoder_weight=autoencoder_weight,
            memory_kl_weight=memory_kl_weight or 0.0,
            held_out_weight=held_out_weight,
            num_inner_reads=num_inner_reads,
        )
        # Each part has a policy of its own. In that of the model, Keras
        # would cast the memory's algebra too, in `model(images)` alone.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.policy_of_parts = keras.config.dtype_policy().name
        self.image_shape = check_image_shape(image_shape)
        self.encoder = as_encoder(encoder)
        self.memory = as_memory(memory)
        self.decoder = as_decoder(decoder)
        self.likelihood = likelihoods.get(likelihood)
        parts.check_defaults_used(self.arguments())
        parts.check_options_used(
            self.encoder,
            self.memory,
            memory_kl_weight=memory_kl_weight or None,
            held_out_weight=held_out_weight or None,
            num_inner_reads=num_inner_reads or None,
        )
        self.num_inner_reads = num_inner_reads
        if memory_kl_weight is None:
            memory_kl_weight = 1.0
        self.memory_kl_weight = memory_kl_weight
        self.kl_weights = {KL_MEMORY: memory_kl_weight}
        # What turns losses in squares per number into nats.
        nats = 0.5 * math.prod(self.image_shape)
        weights = {
            "autoencoder": autoencoder_weight,
            "held_out": held_out_weight,
            **{k: nats * w for k, w in self.memory.loss_weights.items()},
        }
        self.auxiliary_weights = {k: w for k, w in weights.items() if w > 0.0}
        parts.build(self)
        self.built = True

    # --- The bound -----------------------------------------------------------

    @property
    def term_names(self) -> tuple[str, ...]:
        return ("nll", *self.memory.term_names)

    def bound_terms(
        self,
        images: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes episodes and bounds each image's log-likelihood.

        Args:
            images: `[B, T, H, W, C]` in [0, 1].
            weights: `[B, T]`, 0 for an image that is not written.
            seed: of all noise, `int32[2]` or an integer; `None` for fresh.
            training: adds the write noise where the memory has one, and is
                for networks that behave otherwise in training.

        Returns:
            `{"nll": [B, T], "kl_...": [B, T]}` in nats, see
            `kgpm.ops.nelbo`, and figures that the parts show beside them.
            `kl_memory`, where it exists, is already divided by the number of
            images written.
        """
        return self._terms(images, weights, seed, training, ())

    def training_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        """`bound_terms` in training mode, and the auxiliary terms."""
        return self._terms(images, weights, seed, True, self.auxiliary_weights)

    def validation_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        """`bound_terms`, under the other images where one explains itself."""
        if not self.memory.explains_itself:
            return self.bound_terms(images, weights, seed)
        codes = self.encode(images, weights)
        others = self.leave_each_out(codes, weights)
        return self.score(images, codes, others, seed)

    def leave_each_out(
        self, codes: Any, weights: Any = None, training: bool = False
    ) -> Any:
        """A memory of codes `[B, T, C]` in which none finds itself."""
        memory = self.memory.write(codes, weights, training=training)
        return self.memory.leave_each_out(codes, memory)

    def _terms(
        self,
        images: Any,
        weights: Any,
        seed: Any,
        training: bool,
        auxiliary: Any,
    ) -> dict[str, Any]:
        images = self.check_images(images)
        if weights is None:
            weights = ops.ones(ops.shape(images)[:-3])
        weights = ops.cast(weights, "float32")
        codes = self.encode(images, weights, training)
        seed, memory = make_seed(seed), None
        if self.memory.stores:
            write_seed, seed = split_seed(seed, 2)
            memory = self.memory.write(codes, weights, write_seed, training)
        draw_seed, pixel_seed = split_seed(seed, 2)
        draw = self.sample_latents(codes, memory, draw_seed, training, weights)
        # Beside it, what is trained but belongs to no bound.
        draws = {"": draw}
        if "autoencoder" in auxiliary:
            draws["autoencoder"] = Draw(self.memory.latents_of(codes), {}, 0.0)
        if "held_out" in auxiliary:
            others = self.memory.leave_each_out(codes, memory)
            draws["held_out"] = self.sample_latents(
                codes, others, fold_in(draw_seed, 1), training, weights
            )
        terms, *beside = self.explain(
            images, [*draws.values()], pixel_seed, training
        )
        names = [*draws][1:]
        if KL_MEMORY in self.term_names:
            terms.update(self.memory.costs(memory, weights))
        if auxiliary:
            terms.update(draw.losses)
        return {
            **terms,
            **{n: nelbo(t) for n, t in zip(names, beside, strict=True)},
        }

    def explain(
        self,
        images: Any,
        draws: Sequence[Draw],
        seed: Any,
        training: bool = False,
    ) -> list[dict[str, Any]]:
        """The terms of images under draws of their latents: the bound.

        `nll = -ln p(x | h, M)`, and the divergences that h ~ q(h | x, M) costs.
        One pass of the decoder over all draws is faster than one for each.

        Args:
            images: `[B, Q, H, W, C]`.
            draws: of the latents of these images.
            seed: of the noise in pixels, the same for all draws.
            training: for decoders that behave otherwise in training.

        Returns:
            For each draw `{"nll": [B, Q], "kl_...": [B, Q]}` and figures.
        """
        latents = [draw.latents for draw in draws]
        together = latents[0]
        if len(draws) > 1:
            together = keras.tree.map_structure(
                lambda *values: ops.concatenate(values, axis=0), *latents
            )
        parameters = self.decode(together, training)
        each = [parameters]
        if len(draws) > 1:
            each = ops.split(parameters, len(draws), axis=0)
        return [
            {
                "nll": -self.likelihood.log_prob(images, one, seed),
                **draw.kl,
                **self.likelihood.figures(images, one),
                **draw.figures,
            }
            for draw, one in zip(draws, each, strict=True)
        ]

    def score(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        seed: Any,
        training: bool = False,
    ) -> dict[str, Any]:
        """`query_terms` of images whose codes are at hand."""
        draw_seed, pixel_seed = split_seed(make_seed(seed), 2)
        draw = self.sample_latents(codes, memory, draw_seed, training)
        return self.explain(images, [draw], pixel_seed, training)[0]

    def query_terms(
        self,
        queries: Any,
        memory: Any = None,
        seed: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Terms of queries `[B, Q, H, W, C]` under a given memory.

        A bound on `-log p(query | memory)`: predictive where the query was
        not written. Each `[B, Q]` in nats, without `kl_memory`. `weights`
        `[B, Q]` are 0 for absent queries; see `encode`.
        """
        return self.score(queries, self.encode(queries, weights), memory, seed)

    def sample_latents(
        self,
        codes: Any,
        memory: Any,
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws the latents of codes `[B, Q, C]`, see `Memory.sample`."""
        draw = self.memory.sample(codes, memory, seed, training, weights)
        return draw._replace(
            latents=self.settle(draw.latents, memory, training)
        )

    def settle(self, latents: Any, memory: Any, training: bool = False) -> Any:
        """Latents `[B, Q, L]` after the inner reads, all that is decoded."""
        for _ in range(self.num_inner_reads):
            images = self.likelihood.mean(self.decode(latents, training))
            codes = self.encode(images, training=training)
            latents = self.memory.read(codes, memory)
        return latents

    @property
    def monitor(self) -> str:
        """The bound that is trained: with the memory's share if that is."""
        paid = KL_MEMORY in self.term_names and self.memory_kl_weight > 0.0
        return "nelbo_full" if paid else "nelbo"

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        return {
            **{
                name: keras.metrics.Mean(name=name)
                for name in self.likelihood.figure_names
            },
            **self.memory.figure_metrics(),
        }

    # --- Its use -------------------------------------------------------------

    def encode(
        self, images: Any, weights: Any = None, training: bool = False
    ) -> Any:
        """Images `[B, T, H, W, C]` to codes `[B, T, C]`.

        Args:
            images: `[B, T, H, W, C]`.
            weights: `[B, T]`, 0 for an absent image: where images see each
                other (`encoder.mixes_images`), none sees it.
            training: for networks that behave otherwise in training.

        Raises:
            UserError: another rank or image shape, or T = 0.
        """
        images = self.check_images(images)
        return self.encoder(images, weights=weights, training=training)

    def decode(self, latents: Any, training: bool = False) -> Any:
        """Latents `[B, Q, L]` to likelihood parameters `[B, Q, H, W, P]`."""
        return self.decoder(latents, training=training)

    def write(self, images: Any, weights: Any = None, seed: Any = None) -> Any:
        """Writes episodes into memories.

        Args:
            images: `[B, T, H, W, C]` in [0, 1].
            weights: `[B, T]`, 0 for an image that is absent.
            seed: for models whose writing is stochastic; without one they
                write without noise.

        Returns:
            The memories, a nest of tensors with leading axis B.

        Raises:
            UserError: the memory stores nothing.
        """
        if not self.memory.stores:
            raise UserError(
                f"Expected a model with a memory to write to, received "
                f"{type(self).__name__}, {self.memory.why_not_stored}: call "
                "its methods with memory=None."
            )
        codes = self.encode(images, weights)
        return self.memory.write(codes, weights, seed)

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        """The noise-free latents of codes `[B, Q, C]`."""
        return self.settle(self.memory.read(codes, memory), memory)

    def read(
        self,
        queries: Any,
        memory: Any = None,
        sample: bool = False,
        seed: Any = None,
    ) -> Any:
        """Mean images `[B, Q, H, W, C]` read for queries of that shape.

        Args:
            queries: images `[B, Q, H, W, C]`.
            memory: as `write` returns it.
            sample: whether the latents are drawn as in the bound, instead of
                the noise-free read of retrieval.
            seed: of the draw.
        """
        if self.num_inner_reads > 0:
            memory = self.memory.recall(memory)
        codes = self.encode(queries)
        if sample:
            latents = self.sample_latents(codes, memory, seed).latents
        else:
            latents = self.mean_latents(codes, memory)
        return self.likelihood.mean(self.decode(latents))

    def call(self, inputs: Any) -> Any:
        """Writes images `[B, T, H, W, C]` where it can, and reads them."""
        memory = self.write(inputs) if self.memory.stores else None
        return self.read(inputs, memory)

    def reconstruct(self, images: Any, threshold: float = 0.5) -> Any:
        """Encodes and decodes images, past any memory.

        Returns:
            `[B, Q, H, W, C]` for images of that shape; binary ones are 0 or 1
            as `denoise` has it.
        """
        latents = self.memory.latents_of(self.encode(images))
        return self.likelihood.point(self.decode(latents), threshold)

    def denoise(
        self,
        queries: Any,
        memory: Any = None,
        num_steps: int = 10,
        threshold: float = 0.5,
    ) -> Any:
        """Reads repeatedly, each time with the image just read.

        Args:
            queries: corrupted images `[B, Q, H, W, C]`.
            memory: as `write` returns it.
            num_steps: reads, at least 1.
            threshold: binary images are 1 where p(pixel = 1) reaches it; at
                0.5 this minimises the pixels' energy exactly.

        Returns:
            `[B, num_steps, Q, H, W, C]`, the first read first.
        """
        check_count("num_steps", num_steps)
        queries = ops.cast(self.check_images(queries), "float32")
        memory = self.memory.recall(memory)

        def step(images: Any, _: Any) -> tuple[Any, Any]:
            latents = self.mean_latents(self.encode(images), memory)
            images = self.likelihood.point(self.decode(latents), threshold)
            return images, images

        # Over a range, because a served number of steps is a tensor.
        _, steps = ops.scan(step, queries, ops.arange(num_steps))
        return ops.swapaxes(steps, 0, 1)

    def generate(
        self,
        memory: Any = None,
        num_samples: int = 16,
        num_steps: int = 10,
        seed: Any = 0,
        threshold: float = 0.5,
    ) -> Any:
        """New images: a draw of latents, then `num_steps - 1` reads.

        Returns:
            `[B, num_steps, num_samples, H, W, C]`, the draw first; B = 1
            without a memory.
        """
        check_count("num_samples", num_samples)
        memory = self.memory.recall(memory)
        latents = self.memory.sample_prior(memory, num_samples, seed)
        latents = self.settle(latents, memory)
        return self.generate_from(latents, memory, num_steps, threshold)

    def generate_from(
        self,
        latents: Any,
        memory: Any = None,
        num_steps: int = 10,
        threshold: float = 0.5,
    ) -> Any:
        """Images of latents `[B, N, L]`, then `num_steps - 1` reads.

        Returns:
            `[B, num_steps, N, H, W, C]`.
        """
        check_count("num_steps", num_steps)
        first = self.likelihood.point(self.decode(latents), threshold)
        if isinstance(num_steps, int) and num_steps == 1:
            return first[:, None]
        reads = num_steps - 1
        if not isinstance(num_steps, int):
            # It may be 1, and a stack of no reads has no shape.
            reads = ops.maximum(reads, 1)
        rest = self.denoise(first, memory, reads, threshold)
        return ops.concatenate([first[:, None], rest], axis=1)[:, :num_steps]

    # --- Streaming -----------------------------------------------------------

    @property
    def depends_on_order(self) -> bool:
        """Whether the order of the images in an episode matters."""
        return self.encoder.mixes_images or self.memory.depends_on_order

    @property
    def streams(self) -> bool:
        """Whether images can be added to a memory and taken out again."""
        return self.memory.streams and not self.depends_on_order

    def update(
        self, images: Any, statistics: Any = None, weights: Any = None
    ) -> Any:
        """Adds images to the statistics of a streaming write.

        Args:
            images: `[B, T, H, W, C]`, any number of them at a time.
            statistics: of the images so far, `[B, *memory.statistics_shape]`;
                none to begin.
            weights: `[B, T]`, 0 for an absent image.

        Returns:
            Statistics of all; `write_statistics` makes the memory that writing
            all images at once would give (with slots: while there are enough
            of them).

        Raises:
            UserError: a model whose write does not stream.
        """
        self._check_streams()
        return self.memory.accumulate(self.encode(images), statistics, weights)

    def forget(self, images: Any, statistics: Any, weights: Any = None) -> Any:
        """Takes images out of the statistics, as if never written."""
        self._check_streams()
        return self.memory.remove(self.encode(images), statistics, weights)

    def write_statistics(self, statistics: Any) -> Any:
        """The memory of the images in `statistics`."""
        self._check_streams()
        return self.memory.write_statistics(statistics)

    def _check_streams(self) -> None:
        if not self.streams:
            raise UserError(
                "Expected a memory whose writes add up and images that are "
                "encoded each on its own for a streaming write, received "
                f"{type(self.memory).__name__} and "
                f"{type(self.encoder).__name__}."
            )

    # --- Checks and configuration --------------------------------------------

    def check_pixels(self, images: Any) -> None:
        self.likelihood.validate(images)

    def check_images(self, images: Any) -> Any:
        """Images as a tensor; a `UserError` for any other shape or T = 0.

        A model without a memory also takes plain images `[N, H, W, C]`.
        """
        images = ops.convert_to_tensor(images)
        shape = tuple(images.shape)
        ranks = (5,) if self.memory.stores else (5, 4)
        if (
            len(shape) not in ranks
            or shape[-3:] != self.image_shape
            or shape[1] == 0
        ):
            sides = ", ".join(str(side) for side in self.image_shape)
            plain = "" if self.memory.stores else f", or [N, {sides}]"
            raise UserError(
                f"Expected images of shape [B, T, {sides}] with T >= 1{plain}, "
                f"received {list(shape)}."
            )
        return images

    def get_config(self) -> dict:
        return {**super().get_config(), "dtype": self.policy_of_parts}

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> Any:
        # Default parts are made under the policy that they had.
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(config.get("dtype", policy))
        try:
            return super().from_config(config, custom_objects)
        finally:
            keras.config.set_dtype_policy(policy)
