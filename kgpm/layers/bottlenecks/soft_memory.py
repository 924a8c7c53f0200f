"""A learned matrix that is read by similarity."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import check_choice
from kgpm.errors import check_last_axis
from kgpm.errors import check_sizes

SIMILARITIES = ("l2", "cosine", "reference")
# Where beta starts: of distances between vectors of length about 1, and of
# cosines, which differ less.
_INITIAL_BETA = {"l2": 1.0, "cosine": 10.0}


@keras.saving.register_keras_serializable(package="kgpm")
class SoftMemory(Configured, keras.layers.Layer):
    """Reads a learned memory of K rows e_i by softmax attention.

        w = softmax_i(beta k(z, e_i)),   r = sum_i w_i e_i

    with a learned beta > 0. The memory is a parameter: training writes it, and
    it is the same for all inputs. Works in any Keras model.

    Args:
        memory_size: K, rows.
        embedding_dim: D, length of a row.
        similarity: `l2`, k = -|z - e|^2; `cosine`, k = z . e / (|z| |e|); or
            `reference`, k = +|z - e|^2 with beta = 1 and rows that start near
            zero, as the published code has it: there the farthest rows weigh
            most.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: z, `[..., D]`.

    Returns:
        r, `[..., D]`, float32.

    Raises:
        UserError: sizes below 1, or an unknown similarity.

    Source: Y. Ni, "Exploration of External Memory in Variational
    Auto-Encoder"; the attention of Neural Turing Machines (Graves et al.,
    2014, section 3.3.1).
    """

    def __init__(
        self,
        memory_size: int = 512,
        embedding_dim: int = 64,
        similarity: str = "l2",
        **kwargs: Any,
    ) -> None:
        check_sizes(memory_size=memory_size, embedding_dim=embedding_dim)
        check_choice("similarity", similarity, SIMILARITIES)
        super().__init__(**{"dtype": "float32", **kwargs})
        self.memory_size = memory_size
        self.embedding_dim = embedding_dim
        self.similarity = similarity

    def build(self, input_shape: tuple | None = None) -> None:
        check_last_axis(input_shape, self.embedding_dim)
        reference = self.similarity == "reference"
        limit = 1.0 / self.memory_size
        self.rows = self.add_weight(
            shape=(self.memory_size, self.embedding_dim),
            initializer=keras.initializers.RandomUniform(-limit, limit)
            if reference
            # Rows of length about 1.
            else keras.initializers.RandomNormal(
                stddev=self.embedding_dim**-0.5
            ),
            dtype="float32",
            # Under every policy: similarities need the precision.
            autocast=False,
            name="rows",
        )
        self.raw_beta = None
        if not reference:
            beta = _INITIAL_BETA[self.similarity]
            self.raw_beta = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(
                    math.log(math.expm1(beta))
                ),
                dtype="float32",
                autocast=False,
                name="raw_beta",
            )
        self.built = True

    @property
    def beta(self) -> Any:
        """How strictly the similarity is taken, a scalar."""
        if self.raw_beta is None:
            return ops.ones(())
        return ops.softplus(self.raw_beta)

    def log_weights(self, inputs: Any) -> Any:
        """ln w of vectors `[..., D]`, `[..., K]`."""
        inputs = ops.cast(inputs, "float32")
        rows = ops.convert_to_tensor(self.rows)
        products = ops.matmul(inputs, ops.transpose(rows))
        squares = ops.sum(ops.square(rows), axis=-1)
        # |z|^2 is the same for all rows: softmax does not see it.
        if self.similarity == "reference":
            logits = squares - 2.0 * products
        elif self.similarity == "l2":
            logits = self.beta * (2.0 * products - squares)
        else:
            own = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
            # Below the root, so that the gradient at zero is a number.
            lengths = ops.sqrt(own * squares + 1e-16)
            logits = self.beta * products / lengths
        return ops.log_softmax(logits, axis=-1)

    def read(self, weights: Any) -> Any:
        """The rows' average `[..., D]` by weights `[..., K]`."""
        return ops.matmul(weights, ops.convert_to_tensor(self.rows))

    def call(self, inputs: Any) -> Any:
        return self.read(ops.exp(self.log_weights(inputs)))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
