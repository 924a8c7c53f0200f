"""8-bit images, one logistic a channel."""

from typing import Any

import keras
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.likelihoods import pixels
from kgpm.likelihoods.likelihood import Likelihood
from kgpm.ops import make_seed


@keras.saving.register_keras_serializable(package="kgpm")
class DiscretizedLogistic(Likelihood):
    """Independent logistic variables rounded to 256 levels.

    A true probability of the 8-bit image: bits per dimension need no offset.
    The parameters are C locations, then C log-scales, on [-1, 1]; zeros
    are mid-grey with a standard deviation of about a quarter of the range.
    The log-scale is softly kept in [-7, 2]. Images are rounded to the
    nearest of the levels k / 255.

    Reference: Kingma et al. 2016, arXiv:1606.04934, section 4.
    """

    name = "discretized_logistic"

    def num_parameters(self, channels: int) -> int:
        return 2 * channels

    def log_prob(self, images: Any, parameters: Any, seed: Any = None) -> Any:
        del seed
        images, parameters = self._cast(images, parameters)
        loc, scale = self._split(parameters)
        levels = pixels.to_levels(images)
        log_mass = pixels.logistic_log_mass(levels, loc, scale)
        return tf.reduce_sum(log_mass, axis=[-3, -2, -1])

    def mean(self, parameters: Any) -> Any:
        """The mean image, exact to half a grey level."""
        loc, scale = self._split(self._cast_parameters(parameters))
        return (pixels.clipped_logistic_mean(loc, scale) + 1.0) / 2.0

    def sample(self, parameters: Any, seed: Any) -> Any:
        loc, scale = self._split(self._cast_parameters(parameters))
        levels = pixels.quantized_logistic(loc, scale)
        return levels.sample(seed=make_seed(seed)) / 255.0

    def _split(self, parameters: Any) -> tuple[Any, Any]:
        if parameters.shape[-1] % 2:
            raise UserError(
                "Expected an even number of parameters a pixel, a location "
                "and a log-scale for each channel, received "
                f"{parameters.shape[-1]}."
            )
        return pixels.logistic_parameters(*tf.split(parameters, 2, axis=-1))
