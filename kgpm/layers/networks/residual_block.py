"""The residual block shared by encoders and decoders."""

import math
from typing import Any

import keras

from kgpm.configuration import Configured
from kgpm.errors import check_choice
from kgpm.layers.networks.fast_group_normalization import FastGroupNormalization

NORMALIZATIONS = ("group", "none")


def make_normalization(kind: str, width: int, **kwargs: Any) -> Any:
    """A normalisation layer for `width` channels, or `None`.

    Args:
        kind: `group` (at most 8 groups, each image on its own, so that a
            decoder that runs on two kinds of codes keeps no mixed running
            statistics) or `none`.
        width: number of channels.
        **kwargs: of the layer, such as `name`.

    Raises:
        UserError: unknown kind.
    """
    check_choice("normalization", kind, NORMALIZATIONS)
    if kind == "none":
        return None
    return FastGroupNormalization(math.gcd(8, width), **kwargs)


@keras.saving.register_keras_serializable(package="kgpm")
class ResidualBlock(Configured, keras.layers.Layer):
    """Two 3x3 convolutions added to their input, as in the GPM networks.

    conv - normalise - ReLU - conv - normalise, plus the identity, with no
    activation after the sum: an image decoder's values pass through
    unclipped.

    Args:
        width: number of channels, of the input too.
        normalization: one of `NORMALIZATIONS`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, width]`.

    Returns:
        `[N, H, W, width]`.
    """

    def __init__(
        self, width: int, normalization: str = "group", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.normalization = normalization
        use_bias = normalization == "none"
        self.convolutions = []
        self.norms = []
        for i in range(2):
            convolution = keras.layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=use_bias,
                dtype=self.dtype_policy,
                name=f"convolution_{i}",
            )
            self.convolutions.append(convolution)
            self.norms.append(
                make_normalization(
                    normalization,
                    width,
                    dtype=self.dtype_policy,
                    name=f"norm_{i}",
                )
            )

    def build(self, input_shape: tuple) -> None:
        for convolution, norm in zip(
            self.convolutions, self.norms, strict=True
        ):
            convolution.build(input_shape)
            if norm is not None:
                norm.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        hidden = self._convolve(0, inputs)
        hidden = keras.ops.relu(hidden)
        return inputs + self._convolve(1, hidden)

    def _convolve(self, index: int, inputs: Any) -> Any:
        outputs = self.convolutions[index](inputs)
        norm = self.norms[index]
        return outputs if norm is None else norm(outputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
