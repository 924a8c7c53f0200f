"""From features to a diagonal Gaussian."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.ops import normal

_LEAST_SCALE = 1e-4


class DiagonalGaussian(NamedTuple):
    """Mean and log-variance of each dimension, both `[..., size]`."""

    mean: Any
    log_variance: Any

    def sample(self, seed: Any) -> Any:
        """One draw for each mean, `[..., size]`."""
        noise = normal(ops.shape(self.mean), seed, self.mean.dtype)
        return self.mean + ops.exp(0.5 * self.log_variance) * noise


@keras.saving.register_keras_serializable(package="kgpm")
class GaussianHead(keras.layers.Layer):
    """A two-layer network that predicts a diagonal Gaussian.

    The scale is `softplus(raw + shift) + 1e-4`, and the same scale is drawn
    with and charged for.

    Args:
        size: dimensions of the Gaussian.
        hidden_size: units of the ReLU layer before the linear one.
        initial_scale: the scale where `raw` is 0, near which a head starts.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        features: `[..., F]`.

    Returns:
        `DiagonalGaussian` over `[..., size]`.

    Raises:
        UserError: sizes below 1, or a scale that is not positive.
    """

    def __init__(
        self,
        size: int,
        hidden_size: int,
        initial_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if size < 1 or hidden_size < 1:
            raise UserError(
                "Expected size and hidden_size of at least 1, received "
                f"{size} and {hidden_size}."
            )
        if initial_scale <= 0.0:
            raise UserError(
                f"Expected initial_scale > 0, received {initial_scale}."
            )
        # Divergences need more than half precision.
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size
        self.hidden_size = hidden_size
        self.initial_scale = initial_scale
        policy = self.dtype_policy
        self.hidden = keras.layers.Dense(
            hidden_size, activation="relu", dtype=policy, name="hidden"
        )
        self.output_layer = keras.layers.Dense(
            2 * size, dtype=policy, name="output"
        )

    def build(self, input_shape: tuple) -> None:
        self.hidden.build(input_shape)
        self.output_layer.build((*input_shape[:-1], self.hidden_size))
        self.built = True

    def call(self, features: Any) -> DiagonalGaussian:
        mean, raw = ops.split(
            self.output_layer(self.hidden(features)), 2, axis=-1
        )
        shift = math.log(math.expm1(self.initial_scale))
        scale = ops.softplus(raw + shift) + _LEAST_SCALE
        return DiagonalGaussian(mean, 2.0 * ops.log(scale))

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            size=self.size,
            hidden_size=self.hidden_size,
            initial_scale=self.initial_scale,
        )
        return config
