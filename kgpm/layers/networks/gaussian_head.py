"""From features to a diagonal Gaussian."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers.networks.blocks import build_chain
from kgpm.layers.networks.spectral_dense import SpectralDense
from kgpm.ops import normal

_LEAST_SCALE = 1e-4
# Of a learned prior, by whose square a divergence divides: at 1e-4 a single
# image whose posterior lies elsewhere costs 1e7 nats.
LEAST_PRIOR_SCALE = 1e-2


class DiagonalGaussian(NamedTuple):
    """Mean and log-variance of each dimension, both `[..., size]`."""

    mean: Any
    log_variance: Any

    @classmethod
    def of(
        cls,
        parameters: Any,
        initial_scale: float = 1.0,
        least_scale: float = _LEAST_SCALE,
    ) -> "DiagonalGaussian":
        """From the output of a network, `[..., 2 size]`: mean and raw scale.

        The scale is `softplus(raw + shift) + least_scale`, `initial_scale`
        (to `least_scale`) where raw is 0.
        """
        mean, raw = ops.split(parameters, 2, axis=-1)
        shift = math.log(math.expm1(initial_scale))
        scale = ops.softplus(raw + shift) + least_scale
        return cls(mean, 2.0 * ops.log(scale))

    def sample(self, seed: Any) -> Any:
        """One draw for each mean, `[..., size]`."""
        noise = normal(ops.shape(self.mean), seed, self.mean.dtype)
        return self.mean + ops.exp(0.5 * self.log_variance) * noise


@keras.saving.register_keras_serializable(package="kgpm")
class GaussianHead(Configured, keras.layers.Layer):
    """A small dense network that predicts a diagonal Gaussian.

    The same scale (`DiagonalGaussian.of`) is drawn with and charged for.

    Args:
        size: dimensions of the Gaussian.
        hidden_size: units of each layer before the last, linear one.
        num_hidden: number of these layers.
        activation: of these layers; `linear` for a deep linear network.
        spectral: whether these layers have spectral norm one.
        initial_scale: the scale near which a head starts.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        features: `[..., F]`.
        training: whether spectral norms are followed.

    Returns:
        `DiagonalGaussian` over `[..., size]`.

    Raises:
        UserError: sizes below 1, or a scale that is not positive.
    """

    def __init__(
        self,
        size: int,
        hidden_size: int,
        num_hidden: int = 1,
        activation: str = "relu",
        spectral: bool = False,
        initial_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        check_sizes(size=size, hidden_size=hidden_size, num_hidden=num_hidden)
        check_positive(initial_scale=initial_scale)
        # Divergences need more than half precision.
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size
        self.initial_scale = initial_scale
        policy = self.dtype_policy
        kind = SpectralDense if spectral else keras.layers.Dense
        self.hidden = [
            kind(
                hidden_size,
                activation=activation,
                dtype=policy,
                name=f"hidden_{i}",
            )
            for i in range(num_hidden)
        ]
        self.output_layer = keras.layers.Dense(
            2 * size, dtype=policy, name="output"
        )

    def build(self, input_shape: tuple) -> None:
        build_chain([*self.hidden, self.output_layer], input_shape)
        self.built = True

    def call(
        self, features: Any, training: bool | None = None
    ) -> DiagonalGaussian:
        for layer in self.hidden:
            features = layer(features, training=training)
        return DiagonalGaussian.of(
            self.output_layer(features), self.initial_scale
        )
