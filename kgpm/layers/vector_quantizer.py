"""The nearest of a few learned vectors in place of a vector."""

from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kgpm.errors import UserError
from kgpm.layers.choices import check_sizes
from kgpm.ops import categorical
from kgpm.ops import make_seed


class Quantized(NamedTuple):
    """Vectors `[..., D]` after quantisation.

    Attributes:
        vectors: the codes, `[..., D]`; their gradient goes to the inputs as
            if nothing had happened (straight through).
        encoding_indices: which of the K codes, `int32[...]`.
        encodings: the same one-hot, `[..., K]`.
        commitment: mean over D of (z - sg(e))^2, `[...]`: pulls the encoder.
        codebook: mean over D of (sg(z) - e)^2, `[...]`: pulls the codes.
    """

    vectors: Any
    encoding_indices: Any
    encodings: Any
    commitment: Any
    codebook: Any


@keras.saving.register_keras_serializable(package="kgpm")
class VectorQuantizer(keras.layers.Layer):
    """Vector quantisation with codes trained by gradients.

    Works in any Keras model: a call adds the loss
    `mean|e - sg(z)|^2 + commitment_cost mean|z - sg(e)|^2` to it.

    The first batch in training gives the codes their places, as codes far
    from all inputs would never be used. A code that is used less often than
    `restart_below` times an even use is moved to a vector of the batch.

    Args:
        num_embeddings: K, codes.
        embedding_dim: D, length of a code.
        commitment_cost: weight of the loss that pulls the encoder.
        decay: of the running mean of uses, and of what else is averaged.
        restart_below: share of an even use, 0 for no restarts.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., D]`.
        training: whether codes find their places and their uses are counted.

    Returns:
        The nearest codes, `[..., D]`, float32.

    Raises:
        UserError: numbers that make no codebook.

    Source: van den Oord et al., "Neural Discrete Representation Learning",
    NeurIPS 2017, equations 1 to 3.
    """

    trains_embeddings = True

    def __init__(
        self,
        num_embeddings: int = 512,
        embedding_dim: int = 64,
        commitment_cost: float = 0.25,
        decay: float = 0.99,
        restart_below: float = 0.01,
        **kwargs: Any,
    ) -> None:
        check_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if commitment_cost < 0.0 or restart_below < 0.0:
            raise UserError(
                "Expected commitment_cost and restart_below of at least 0, "
                f"received {commitment_cost} and {restart_below}."
            )
        if not 0.0 <= decay < 1.0:
            raise UserError(f"Expected 0 <= decay < 1, received {decay}.")
        super().__init__(**{"dtype": "float32", **kwargs})
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.commitment_cost = commitment_cost
        self.decay = decay
        self.restart_below = restart_below

    def build(self, input_shape: tuple | None = None) -> None:
        def add(name: str, shape: tuple, initial: Any, trained: bool) -> Any:
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=initial,
                trainable=trained,
                # What is assigned is the same on every replica already.
                aggregation="only_first_replica" if not trained else None,
            )

        self.embeddings = add(
            "embeddings",
            (self.num_embeddings, self.embedding_dim),
            keras.initializers.RandomNormal(stddev=self.embedding_dim**-0.5),
            self.trains_embeddings,
        )
        self.counts = add("counts", (self.num_embeddings,), "ones", False)
        self.initialized = add("initialized", (), "zeros", False)
        self.built = True

    def encode(
        self,
        inputs: Any,
        weights: Any = None,
        training: bool = False,
        seed: Any = None,
    ) -> Quantized:
        """The nearest codes, and what a loss needs.

        The codes move after the batch was quantised, if at all.

        Args:
            inputs: `[..., D]`.
            weights: `[...]`, 0 for vectors that count for no code.
            training: see the class.
            seed: of the choice of vectors for new and restarted codes.
        """
        inputs = ops.cast(inputs, "float32")
        flat = ops.reshape(inputs, (-1, self.embedding_dim))
        drawn = None
        if training:
            if weights is None:
                present = ops.ones(ops.shape(flat)[:1])
            else:
                weights = ops.broadcast_to(weights, ops.shape(inputs)[:-1])
                present = ops.cast(ops.reshape(weights, (-1,)) > 0, "float32")
            drawn = self._draw(flat, present, seed)
            first = ops.full((self.num_embeddings,), self.initialized < 0.5)
            self._move(first, drawn)
            self.initialized.assign(ops.ones(()))
        embeddings = ops.convert_to_tensor(self.embeddings)
        # |z|^2 is the same for all codes.
        distances = ops.sum(ops.square(embeddings), axis=-1) - 2.0 * ops.matmul(
            flat, ops.transpose(embeddings)
        )
        indices = ops.cast(ops.argmin(distances, axis=-1), "int32")
        encodings = ops.one_hot(indices, self.num_embeddings)
        nearest = ops.reshape(
            ops.matmul(encodings, embeddings), ops.shape(inputs)
        )
        fixed = ops.stop_gradient(nearest)
        result = Quantized(
            inputs + ops.stop_gradient(nearest - inputs),
            ops.reshape(indices, ops.shape(inputs)[:-1]),
            ops.reshape(
                encodings, (*ops.shape(inputs)[:-1], self.num_embeddings)
            ),
            ops.mean(ops.square(inputs - fixed), axis=-1),
            ops.mean(ops.square(nearest - ops.stop_gradient(inputs)), axis=-1),
        )
        if training:
            counted = ops.stop_gradient(encodings) * present[:, None]
            self._learn(ops.stop_gradient(flat), counted)
            even = ops.mean(self.counts)
            self._move(self.counts < self.restart_below * even, drawn)
        return result

    def lookup(self, indices: Any) -> Any:
        """Codes `[..., D]` of indices `[...]`."""
        return ops.take(self.embeddings, indices, axis=0)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        quantized = self.encode(inputs, training=bool(training))
        loss = self.commitment_cost * ops.mean(quantized.commitment)
        if self.trains_embeddings:
            loss = loss + ops.mean(quantized.codebook)
        self.add_loss(loss)
        return quantized.vectors

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            num_embeddings=self.num_embeddings,
            embedding_dim=self.embedding_dim,
            commitment_cost=self.commitment_cost,
            decay=self.decay,
            restart_below=self.restart_below,
        )
        return config

    def _learn(self, flat: Any, encodings: Any) -> None:
        """Takes note of vectors `[N, D]` and what they were, `[N, K]`."""
        used = sum_over_replicas(ops.sum(encodings, axis=0))
        self.counts.assign(self._average(self.counts, used))

    def _average(self, old: Any, new: Any) -> Any:
        return self.decay * old + (1.0 - self.decay) * new

    def _move(self, chosen: Any, vectors: Any) -> None:
        """Puts the chosen codes `[K]` where vectors `[K, D]` are."""
        self.embeddings.assign(
            ops.where(chosen[:, None], vectors, self.embeddings)
        )
        self.counts.assign(ops.where(chosen, 1.0, self.counts))

    def _draw(self, flat: Any, present: Any, seed: Any) -> Any:
        """K vectors of the batch, the same on every replica."""
        logits = ops.log(present + 1e-30)[None]
        chosen = categorical(logits, self.num_embeddings, make_seed(seed))[0]
        vectors = ops.take(ops.stop_gradient(flat), chosen, axis=0)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return vectors
        own = ops.equal(replica.replica_id_in_sync_group, 0)
        return sum_over_replicas(ops.where(own, vectors, 0.0))


def sum_over_replicas(values: Any) -> Any:
    """The sum over all replicas, for a variable that all of them share."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return values
    return replica.all_reduce("sum", values)
