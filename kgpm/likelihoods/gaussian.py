"""8-bit images through a Gaussian density."""

import math
from typing import Any

import keras
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.likelihoods import pixels
from kgpm.likelihoods.likelihood import Likelihood
from kgpm.likelihoods.probability import distributions
from kgpm.ops import make_seed
from kgpm.ops import uniform

# The standard deviation of uniform noise one level wide, on [0, 1]. A pixel
# is never more certain than its own dequantisation noise, so this floor costs
# no likelihood; without one, constant pixels would make the scale vanish.
_SCALE_FLOOR = 1.0 / (256.0 * math.sqrt(12.0))
_INITIAL_SCALE = 0.25


@keras.saving.register_keras_serializable(package="kgpm")
class Gaussian(Likelihood):
    """Independent Gaussian densities of dequantised pixels.

    The level k of a pixel becomes x = (k + u) / 256 with u uniform on
    [0, 1), and `log_prob` is the log-density of x on [0, 1], in nats. Its
    average over u is at most log P(k) + log 256 a pixel (Theis et al. 2016,
    arXiv:1511.01844), hence the 8 bits that `bits_per_dim` adds.

    The parameters are C means, then C log-scales; zeros are mid-grey with
    a standard deviation of a quarter of the range. The scale is softly kept
    above 1 / (256 sqrt 12).

    With `seed=None`, `log_prob` is the exact average over u: the density of
    the middle x of the level, less 1 / (24 (256 scale)^2) a pixel. This is
    the same bound without its noise; u = 1/2 alone would be too good.
    """

    name = "gaussian"
    dequantization_bits = 8.0

    def num_parameters(self, channels: int) -> int:
        return 2 * channels

    def log_prob(self, images: Any, parameters: Any, seed: Any = None) -> Any:
        images, parameters = self._cast(images, parameters)
        loc, scale = self._split(parameters)
        tfd = distributions()
        density = tfd.Independent(tfd.Normal(loc, scale), 3)
        levels = pixels.to_levels(images)
        if seed is None:
            noise = self._average_noise(loc, scale)
            return density.log_prob((levels + 0.5) / 256.0) - noise
        shape = tf.broadcast_dynamic_shape(tf.shape(levels), tf.shape(loc))
        noise = uniform(shape, seed, dtype=levels.dtype)
        return density.log_prob((levels + noise) / 256.0)

    def mean(self, parameters: Any) -> Any:
        """The mean image, cut to [0, 1]."""
        loc, _ = self._split(self._cast_parameters(parameters))
        # The middle of level k is (k + 1/2) / 256, and its pixel k / 255.
        return tf.clip_by_value((loc * 256.0 - 0.5) / 255.0, 0.0, 1.0)

    def sample(self, parameters: Any, seed: Any) -> Any:
        loc, scale = self._split(self._cast_parameters(parameters))
        density = distributions().Normal(loc, scale)
        draws = density.sample(seed=make_seed(seed))
        return tf.clip_by_value(tf.floor(draws * 256.0), 0.0, 255.0) / 255.0

    def _average_noise(self, loc: Any, scale: Any) -> Any:
        """What the middle of a level is too good by, of all pixels."""
        # u enters the log-density as -(k + u - 256 loc)^2 / (2 s^2) with
        # s = 256 scale, and u has the variance 1/12.
        noise = tf.square(1.0 / (256.0 * scale))
        return tf.reduce_sum(noise, axis=[-3, -2, -1]) / 24.0

    def _split(self, parameters: Any) -> tuple[Any, Any]:
        if parameters.shape[-1] % 2:
            raise UserError(
                "Expected an even number of parameters a pixel, a mean and a "
                f"log-scale for each channel, received {parameters.shape[-1]}."
            )
        raw_loc, raw_scale = tf.split(parameters, 2, axis=-1)
        log_scale = pixels.bounded_log_scale(
            raw_scale, math.log(_INITIAL_SCALE), math.log(_SCALE_FLOOR)
        )
        return raw_loc + 0.5, tf.exp(log_scale)
