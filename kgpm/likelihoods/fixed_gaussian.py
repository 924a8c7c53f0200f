"""8-bit images through a Gaussian density of one given variance."""

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm.errors import UserError
from kgpm.likelihoods import pixels
from kgpm.likelihoods.likelihood import Likelihood
from kgpm.ops import make_seed
from kgpm.ops import uniform

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="kgpm")
class FixedGaussian(Likelihood):
    """Independent Gaussian densities of dequantised pixels, variance given.

    As `Gaussian`, but the means are in [0, 1] by a sigmoid, and the variance
    is no parameter. To minimise `-log_prob` is to minimise the squared error:
    it is `D / 2` times the error over the variance, and a constant.

    Args:
        variance: of a pixel on [0, 1]; by default that of all pixels of
            CIFAR-10.

    Raises:
        UserError: a variance that is not positive.
    """

    name = "fixed_gaussian"
    dequantization_bits = 8.0

    def __init__(self, variance: float = 0.0633) -> None:
        if not variance > 0.0:
            raise UserError(f"Expected variance > 0, received {variance}.")
        self.variance = variance

    def num_parameters(self, channels: int) -> int:
        return channels

    def log_prob(self, images: Any, parameters: Any, seed: Any = None) -> Any:
        images, parameters = self._cast(images, parameters)
        density = tfd.Independent(self._density(parameters), 3)
        levels = pixels.to_levels(images)
        if seed is None:
            # The exact average over the noise below, whose variance is 1/12
            # of a level; see `Gaussian`.
            size = math.prod(parameters.shape[-3:])
            noise = size / (24.0 * self.variance * 256.0**2)
            return density.log_prob((levels + 0.5) / 256.0) - noise
        shape = tf.broadcast_dynamic_shape(
            tf.shape(levels), tf.shape(parameters)
        )
        noise = uniform(shape, seed, dtype=levels.dtype)
        return density.log_prob((levels + noise) / 256.0)

    def mean(self, parameters: Any) -> Any:
        return tf.sigmoid(self._cast_parameters(parameters))

    def sample(self, parameters: Any, seed: Any) -> Any:
        density = self._density(self._cast_parameters(parameters))
        draws = density.sample(seed=make_seed(seed))
        return tf.clip_by_value(tf.floor(draws * 256.0), 0.0, 255.0) / 255.0

    def _density(self, parameters: Any) -> Any:
        # The middle of level k is (k + 1/2) / 256, and its pixel k / 255.
        loc = (tf.sigmoid(parameters) * 255.0 + 0.5) / 256.0
        scale = tf.constant(math.sqrt(self.variance), loc.dtype)
        return tfd.Normal(loc, scale)
