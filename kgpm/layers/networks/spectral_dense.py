"""A dense layer of spectral norm one."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured

# Power iterations when the layer is made; one more for each training call.
_FIRST_ITERATIONS = 15


@keras.saving.register_keras_serializable(package="kgpm")
class SpectralDense(Configured, keras.layers.Layer):
    """`activation(x W / sigma(W) + b)`, sigma the largest singular value of W.

    The kernel stays free and the division is part of the function, so that
    gradients pass through sigma: `keras.layers.SpectralNormalization`
    overwrites the kernel instead and passes none. Sigma is `u^T W v` with u
    and v from power iteration, constants for the gradient.

    Args:
        units: length of the output.
        activation: after the affine map.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., F]`.
        training: whether u takes one step of power iteration.

    Returns:
        `[..., units]`.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial
    Networks", ICLR 2018.
    """

    def __init__(
        self, units: int, activation: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units),
            initializer="glorot_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.units,), initializer="zeros", name="bias"
        )
        self.left_vector = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            # Every replica makes the same step from the same kernel.
            aggregation="only_first_replica",
            name="left_vector",
        )
        left = ops.convert_to_tensor(self.left_vector)
        for _ in range(_FIRST_ITERATIONS):
            left = self._iterate(left)[0]
        self.left_vector.assign(left)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        left, right = self._iterate(ops.convert_to_tensor(self.left_vector))
        if training:
            self.left_vector.assign(left)
        kernel = ops.convert_to_tensor(self.kernel)
        sigma = ops.sum(left * ops.matmul(kernel, right))
        sigma = ops.maximum(sigma, 1e-12)
        return self.activation(ops.matmul(inputs, kernel / sigma) + self.bias)

    def _iterate(self, left: Any) -> tuple[Any, Any]:
        """One step of power iteration: the singular vectors u and v."""
        kernel = ops.stop_gradient(ops.convert_to_tensor(self.kernel))
        right = _unit(ops.matmul(left, kernel))
        return _unit(ops.matmul(kernel, right)), right

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.units)


def _unit(vector: Any) -> Any:
    return vector / (ops.norm(vector) + 1e-12)
