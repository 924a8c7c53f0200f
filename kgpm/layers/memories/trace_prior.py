"""From what was read in a memory to the prior of a latent."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import check_sizes
from kgpm.layers.networks.evo_norm_s0 import EvoNormS0
from kgpm.layers.networks.gaussian_head import LEAST_PRIOR_SCALE
from kgpm.layers.networks.gaussian_head import DiagonalGaussian

# Kernels and strides in turn: 32 - 15 - 12 - 5 - 3, 64 - 31 - 28 - 13 - 11 - 4.
_CONVOLUTIONS = ((4, 2), (4, 1), (3, 2), (3, 1))
# A map of at most this side goes to the last layer.
_LAST_SIDE = 4
# A window outside the memory reads zeros, whose variance is 0: each
# normalisation multiplies their gradient by 1 / sqrt(epsilon). At the usual
# 1e-5 four of them took its norm to 1e12 in the first epoch.
_EPSILON = 1e-3


@keras.saving.register_keras_serializable(package="kgpm")
class TracePrior(Configured, keras.layers.Layer):
    """Convolutions from the stacked traces of a read to `p(z | traces)`.

    Valid convolutions with EvoNormS0 between them, the first with
    `width / 2` channels, each after it with twice as many, until a map is at
    most 4 pixels wide; a last one over the whole map gives mean and scale. It
    starts at zero, so that every prior starts as N(0, I).

    Args:
        window_size: side of a trace.
        channels: of the stacked traces.
        latent_size: length of the latent.
        width: twice the first layer's channels; 64 as published.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        traces: `[..., window_size, window_size, channels]`.

    Returns:
        `DiagonalGaussian` over `[..., latent_size]`.

    Raises:
        UserError: sizes below 1.

    Source: Ramapuram et al., "Kanerva++", ICLR 2021.
    """

    def __init__(
        self,
        window_size: int,
        channels: int,
        latent_size: int,
        width: int = 64,
        **kwargs: Any,
    ) -> None:
        check_sizes(
            window_size=window_size,
            channels=channels,
            latent_size=latent_size,
            width=width,
        )
        # Divergences need more than half precision.
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.window_size = window_size
        self.channels = channels
        self.latent_size = latent_size
        self.width = width
        policy = self.dtype_policy
        self.convolutions: list[keras.layers.Layer] = []
        self.norms: list[keras.layers.Layer] = []
        self.sides = [window_size]
        while self.sides[-1] > _LAST_SIDE:
            index = len(self.convolutions)
            kernel, stride = _CONVOLUTIONS[index % len(_CONVOLUTIONS)]
            side = (self.sides[-1] - kernel) // stride + 1
            if side < 2:
                # A map of one pixel has no variance to normalise by.
                break
            self.convolutions.append(
                keras.layers.Conv2D(
                    max((width // 2) << index, 1),
                    kernel,
                    strides=stride,
                    dtype=policy,
                    name=f"convolution_{index}",
                )
            )
            self.norms.append(
                EvoNormS0(epsilon=_EPSILON, dtype=policy, name=f"norm_{index}")
            )
            self.sides.append(side)
        self.output_layer = keras.layers.Dense(
            2 * latent_size,
            kernel_initializer="zeros",
            dtype=policy,
            name="output",
        )

    def build(self, input_shape: tuple | None = None) -> None:
        shape = (None, self.window_size, self.window_size, self.channels)
        for convolution, norm in zip(
            self.convolutions, self.norms, strict=True
        ):
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
            norm.build(shape)
        self.output_layer.build((None, self.sides[-1] ** 2 * shape[-1]))
        self.built = True

    def call(self, traces: Any) -> DiagonalGaussian:
        leading = ops.shape(traces)[:-3]
        side = self.window_size
        hidden = ops.reshape(traces, (-1, side, side, self.channels))
        for convolution, norm in zip(
            self.convolutions, self.norms, strict=True
        ):
            hidden = norm(convolution(hidden))
        hidden = ops.reshape(
            hidden, (*leading, self.sides[-1] ** 2 * hidden.shape[-1])
        )
        return DiagonalGaussian.of(
            self.output_layer(hidden), least_scale=LEAST_PRIOR_SCALE
        )
