"""What every likelihood offers to a model."""

import abc
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.configuration import Configured
from kgpm.errors import UserError


class Likelihood(Configured, abc.ABC):
    """The distribution p(x|z) of an image, given a decoder's raw output.

    A likelihood has no weights. Images are `[..., H, W, C]` in [0, 1];
    8-bit ones are k / 255. Parameters are the decoder's output
    `[..., H, W, P]`, before any activation, where `P` is
    `num_parameters(C)`. Leading axes are free, and those of images and
    parameters broadcast. All of it runs inside `tf.function`.

    Everything is computed in float32 even from bfloat16 or float16
    parameters: a log-likelihood sums thousands of pixels. float64 stays.
    """

    name = "likelihood"
    # log2 of the number of bins, where the density of a dequantised pixel on
    # [0, 1] has to be turned into the probability of one of its 256 values.
    dequantization_bits = 0.0
    # Which pixels it can score, to end a sentence with.
    pixels = "in [0, 1]"
    # Names of what `figures` returns.
    figure_names: tuple[str, ...] = ()

    @abc.abstractmethod
    def num_parameters(self, channels: int) -> int:
        """Raw decoder outputs a pixel, for an image of so many channels."""

    @abc.abstractmethod
    def log_prob(self, images: Any, parameters: Any, seed: Any = None) -> Any:
        """The log-likelihood, in nats.

        Args:
            images: `[..., H, W, C]` in [0, 1].
            parameters: `[..., H, W, P]`.
            seed: `int32[2]` or an integer; only a likelihood that
                dequantises uses it.

        Returns:
            `[...]`, summed over pixels and channels.

        Raises:
            UserError: the last axes do not fit one another.
        """

    @abc.abstractmethod
    def mean(self, parameters: Any) -> Any:
        """The mean image `[..., H, W, C]`, in [0, 1]."""

    @abc.abstractmethod
    def sample(self, parameters: Any, seed: Any) -> Any:
        """Images `[..., H, W, C]` drawn with a seed `int32[2]`."""

    def point(self, parameters: Any, threshold: float = 0.5) -> Any:
        """The image `[..., H, W, C]` an iterative read feeds back.

        Args:
            parameters: `[..., H, W, P]`.
            threshold: for binary images only: the probability from which on
                a pixel is 1. Others feed back the mean.
        """
        del threshold
        return self.mean(parameters)

    def figures(self, images: Any, parameters: Any) -> dict[str, Any]:
        """What is shown beside the bound, for each image.

        Args:
            images: `[..., H, W, C]` in [0, 1].
            parameters: `[..., H, W, P]`.

        Returns:
            float32 `[...]` for each of `figure_names`.
        """
        del images, parameters
        return {}

    def bits_per_dim(self, nats: Any, image_shape: Sequence[int]) -> Any:
        """Turns a negative log-likelihood or bound into bits per dimension.

        Args:
            nats: nats an image, of any shape.
            image_shape: `(H, W, C)`.

        Returns:
            nats / (H W C ln 2), for the probability of an 8-bit (or binary)
            image: a dequantised density has log2(256) = 8 added.
        """
        size = math.prod(image_shape)
        if len(image_shape) != 3 or size < 1:
            raise UserError(
                "Expected image_shape to be (height, width, channels), "
                f"received {tuple(image_shape)}."
            )
        return nats / (size * math.log(2.0)) + self.dequantization_bits

    def validate(self, images: Any) -> None:
        """Checks that images can be scored, before a long run starts.

        Args:
            images: NumPy array `[..., H, W, C]`.

        Raises:
            UserError: no pixels, NaN, or values outside [0, 1].
        """
        images = np.asarray(images)
        if images.ndim < 3 or images.size == 0:
            raise UserError(
                "Expected images of shape [..., height, width, channels] "
                f"with at least one pixel, received shape {images.shape}."
            )
        # NaN and infinities make the extremes fail both comparisons.
        low, high = images.min(), images.max()
        if not (low >= 0 and high <= 1):
            raise UserError(
                f"Expected pixels in [0, 1] for the {self.name} likelihood, "
                f"received values from {low} to {high}; divide 8-bit images "
                "by 255 and remove NaN pixels."
            )

    def can_score(self, images: Any) -> Any:
        """Whether each pixel is one that this likelihood is for.

        The check of `validate` for a graph: booleans of the images' shape,
        false for NaN.
        """
        return tf.logical_and(images >= 0.0, images <= 1.0)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v}" for k, v in self.arguments().items())
        return f"{type(self).__name__}({arguments})"

    def _cast_parameters(self, parameters: Any) -> Any:
        parameters = tf.convert_to_tensor(parameters)
        if parameters.dtype != tf.float64:
            parameters = tf.cast(parameters, tf.float32)
        return parameters

    def _cast(self, images: Any, parameters: Any) -> tuple:
        parameters = self._cast_parameters(parameters)
        images = tf.cast(images, parameters.dtype)
        channels = images.shape[-1]
        expected = self.num_parameters(channels)
        if parameters.shape[-1] != expected:
            raise UserError(
                f"Expected {expected} parameters a pixel for {channels} "
                f"channel(s) with the {self.name} likelihood, received "
                f"{parameters.shape[-1]}; give the decoder "
                "likelihood.num_parameters(channels) output channels."
            )
        return images, parameters
