"""The nearest of a few learned vectors in place of a vector."""

from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_last_axis
from kgpm.errors import check_not_negative
from kgpm.errors import check_sizes
from kgpm.ops import of_the_first_replica
from kgpm.ops import sum_of_earlier_replicas
from kgpm.ops import sum_over_replicas
from kgpm.ops import uniform


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
class VectorQuantizer(Configured, keras.layers.Layer):
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
        check_not_negative(commitment_cost=commitment_cost)
        for name, share in (("decay", decay), ("restart_below", restart_below)):
            if not 0.0 <= share < 1.0:
                raise UserError(f"Expected 0 <= {name} < 1, received {share}.")
        super().__init__(**{"dtype": "float32", **kwargs})
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.commitment_cost = commitment_cost
        self.decay = decay
        self.restart_below = restart_below

    def build(self, input_shape: tuple | None = None) -> None:
        check_last_axis(input_shape, self.embedding_dim)
        # One instance gives the same numbers each time.
        self.initializer = keras.initializers.RandomNormal(
            stddev=self.embedding_dim**-0.5
        )
        for name, shape, initializer, trained in (
            (
                "embeddings",
                (self.num_embeddings, self.embedding_dim),
                self.initializer,
                self.trains_embeddings,
            ),
            ("counts", (self.num_embeddings,), "ones", False),
            ("initialized", (), "zeros", False),
        ):
            self._add(name, shape, initializer, trained)
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
        shape = ops.shape(inputs)
        flat = ops.reshape(inputs, (-1, self.embedding_dim))
        learns = training and self.trainable
        if learns:
            if weights is None:
                weights = ops.ones(shape[:-1])
            present = ops.broadcast_to(weights, shape[:-1])
            present = ops.cast(ops.reshape(present, (-1,)) > 0, "float32")
            drawn, any_drawn = self._draw(flat, present, seed)
            even = sum_over_replicas(ops.sum(present)) / self.num_embeddings
            first = ops.logical_and(self.initialized < 0.5, any_drawn)
            everyone = ops.ones((self.num_embeddings,), "bool")
            self._move(ops.logical_and(first, everyone), drawn, even)
            self.initialized.assign(
                ops.maximum(self.initialized, ops.cast(any_drawn, "float32"))
            )
        embeddings = ops.convert_to_tensor(self.embeddings)
        # |z|^2 is the same for all codes.
        distances = ops.sum(ops.square(embeddings), axis=-1) - 2.0 * ops.matmul(
            flat, ops.transpose(embeddings)
        )
        indices = ops.cast(ops.argmin(distances, axis=-1), "int32")
        encodings = ops.one_hot(indices, self.num_embeddings)
        nearest = ops.reshape(ops.take(embeddings, indices, axis=0), shape)
        fixed = ops.stop_gradient(nearest)
        result = Quantized(
            inputs + ops.stop_gradient(nearest - inputs),
            ops.reshape(indices, shape[:-1]),
            ops.reshape(encodings, (*shape[:-1], self.num_embeddings)),
            ops.mean(ops.square(inputs - fixed), axis=-1),
            ops.mean(ops.square(nearest - ops.stop_gradient(inputs)), axis=-1),
        )
        if learns:
            counted = encodings * present[:, None]
            self._learn(ops.stop_gradient(flat), counted)
            even = ops.mean(self.counts)
            unused = self.counts < self.restart_below * even
            self._move(ops.logical_and(unused, any_drawn), drawn, even)
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

    def _learn(self, flat: Any, encodings: Any) -> None:
        """Takes note of vectors `[N, D]` and what they were, `[N, K]`."""
        used = sum_over_replicas(ops.sum(encodings, axis=0))
        self.counts.assign(self._average(self.counts, used))

    def _average(self, old: Any, new: Any) -> Any:
        return self.decay * old + (1.0 - self.decay) * new

    def _move(self, chosen: Any, vectors: Any, uses: Any) -> None:
        """Puts the chosen codes `[K]` where vectors `[K, D]` are.

        As if each had been used as often as `uses` says.
        """
        self.embeddings.assign(
            ops.where(chosen[:, None], vectors, self.embeddings)
        )
        self.counts.assign(ops.where(chosen, uses, self.counts))

    def _draw(self, flat: Any, present: Any, seed: Any) -> tuple[Any, Any]:
        """K vectors of the batch, the same on every replica, if it has any.

        One of each K-th part of those that are there, the replicas' one after
        the other: no vector twice as long as they are enough.
        """
        own = ops.sum(present)
        total = sum_over_replicas(own)
        count = self.num_embeddings
        parts = ops.arange(count, dtype="float32") + of_the_first_replica(
            uniform((count,), seed)
        )
        # Rounding may take the last part to its end.
        places = ops.minimum(parts / count * total, total - 0.5)
        places = places - sum_of_earlier_replicas(own)
        # A replica may have none of them.
        flat = ops.concatenate(
            [ops.stop_gradient(flat), ops.zeros((1, self.embedding_dim))]
        )
        index = ops.searchsorted(ops.cumsum(present), places, side="right")
        mine = ops.logical_and(places >= 0.0, places < own)
        index = ops.where(mine, index, ops.shape(flat)[0] - 1)
        vectors = ops.take(flat, index, axis=0)
        return sum_over_replicas(vectors), total > 0.0

    def _add(
        self, name: str, shape: tuple, initializer: Any, trainable: bool = False
    ) -> None:
        """Adds a float32 weight, whatever the policy, as an attribute."""
        weight = self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            trainable=trainable,
            dtype="float32",
            # Distances and running means need the precision.
            autocast=False,
            # What is assigned is the same on every replica already.
            aggregation="only_first_replica",
        )
        setattr(self, name, weight)
