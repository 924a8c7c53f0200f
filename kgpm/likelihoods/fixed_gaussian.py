"""8-bit images through a Gaussian density of one given variance."""

import math
from typing import Any

import keras
import tensorflow as tf

from kgpm.errors import check_positive
from kgpm.likelihoods.gaussian import Gaussian


@keras.saving.register_keras_serializable(package="kgpm")
class FixedGaussian(Gaussian):
    """Independent Gaussian densities of dequantised pixels, variance given.

    As `Gaussian`, but the means are in [0, 1] by a sigmoid, and the variance
    is no parameter. To minimise `-log_prob` is to minimise the squared error:
    it is `D / 2` times the error over the variance, `nmse`, and a constant.

    Args:
        variance: of a pixel on [0, 1]; by default that of all pixels of
            CIFAR-10.

    Raises:
        UserError: a variance that is not positive.
    """

    name = "fixed_gaussian"
    figure_names = ("nmse",)

    def __init__(self, variance: float = 0.0633) -> None:
        check_positive(variance=variance)
        self.variance = variance

    def num_parameters(self, channels: int) -> int:
        return channels

    def mean(self, parameters: Any) -> Any:
        return tf.sigmoid(self._cast_parameters(parameters))

    def figures(self, images: Any, parameters: Any) -> dict[str, Any]:
        """`nmse`, the squared error over the variance, mean over an image."""
        mean = self.mean(parameters)
        square = tf.square(tf.cast(images, mean.dtype) - mean)
        nmse = tf.reduce_mean(square, axis=[-3, -2, -1]) / self.variance
        return {"nmse": tf.cast(nmse, "float32")}

    def _average_noise(self, loc: Any, scale: Any) -> Any:
        size = math.prod(loc.shape[-3:])
        return size / (24.0 * self.variance * 256.0**2)

    def _split(self, parameters: Any) -> tuple[Any, Any]:
        # The middle of level k is (k + 1/2) / 256, and its pixel k / 255.
        loc = (tf.sigmoid(parameters) * 255.0 + 0.5) / 256.0
        return loc, tf.constant(math.sqrt(self.variance), loc.dtype)
