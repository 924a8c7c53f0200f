"""A plain stack of transposed convolutions, from a vector to a map."""

import itertools
import math
from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.errors import check_sizes
from kgpm.layers.networks.blocks import Chain
from kgpm.layers.networks.blocks import TransposedConvolution
from kgpm.layers.networks.evo_norm_s0 import EvoNormS0
from kgpm.layers.networks.image_networks import Decoder
from kgpm.layers.networks.image_sizes import check_image_shape

# Side -> (kernel, stride) of each layer: 1-4-10-13-28, 1-5-12-15-32 and
# 1-7-11-25-29-60-63-64.
_PUBLISHED = {
    28: ((4, 1), (4, 2), (4, 1), (4, 2)),
    32: ((5, 1), (4, 2), (4, 1), (4, 2)),
    64: ((7, 2), (5, 1), (5, 2), (5, 1), (4, 2), (4, 1), (2, 1)),
}
_SMALLEST, _LARGEST = 4, 64


def transposed_layers(side: int) -> tuple[tuple[int, int], ...]:
    """Kernels and strides that grow one pixel to `side`.

    A layer grows n to `stride (n - 1) + kernel`. For other sides than the
    published ones: strides 1, 2, 1, 2 (below 16 pixels 1, 2) and the kernels
    nearest to 4 that reach the side.

    Raises:
        UserError: a side out of reach.
    """
    if side in _PUBLISHED:
        return _PUBLISHED[side]
    strides = (1, 2) if side < 16 else (1, 2, 1, 2)
    reached = [
        kernels
        for kernels in itertools.product(range(2, 9), repeat=len(strides))
        if _grow(kernels, strides) == side
    ]
    if not _SMALLEST <= side <= _LARGEST or not reached:
        raise UserError(
            f"Expected sides of {_SMALLEST} to {_LARGEST} pixels for the "
            f"transposed decoder, received {side}."
        )
    kernels = min(reached, key=lambda ks: sum(abs(k - 4) for k in ks))
    return tuple(zip(kernels, strides, strict=True))


def _grow(kernels: tuple, strides: tuple) -> int:
    side = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side = stride * (side - 1) + kernel
    return side


@keras.saving.register_keras_serializable(package="kgpm")
class TransposedDecoder(Chain, Decoder):
    """Transposed convolutions with EvoNormS0 between them.

    The first layer has `4 width` channels and each after it half as many; the
    last gives the parameters with nothing after it. It decodes latents to the
    parameters of images, and an episode's embedding to a memory.

    Args:
        image_shape: `(H, W, channels)` of what is decoded to.
        code_size: length of the input.
        num_parameters: channels of the output.
        width: a quarter of the first layer's channels; 64 as published.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        `[..., H, W, num_parameters]`.

    Raises:
        UserError: sides that cannot be reached, or sizes below 1.

    Source: Ramapuram et al., "Kanerva++", ICLR 2021.
    """

    def __init__(
        self,
        image_shape: tuple,
        code_size: int,
        num_parameters: int,
        width: int = 64,
        **kwargs: Any,
    ) -> None:
        shape = check_image_shape(image_shape)
        check_sizes(
            code_size=code_size, num_parameters=num_parameters, width=width
        )
        super().__init__(**kwargs)
        self.element_shape = (code_size,)
        vertical = transposed_layers(shape[0])
        horizontal = transposed_layers(shape[1])
        if len(vertical) != len(horizontal):
            raise UserError(
                "Expected an image whose sides need equally many layers, "
                f"received {shape[0]} x {shape[1]} pixels."
            )
        policy = self.dtype_policy
        count = len(vertical)
        channels = [max(4 * width >> i, 1) for i in range(count - 1)]
        channels.append(num_parameters)
        # On a single pixel a transposed convolution is a dense layer.
        first = (vertical[0][0], horizontal[0][0], channels[0])
        chain = [
            keras.layers.Dense(math.prod(first), dtype=policy, name="stem"),
            keras.layers.Reshape(first, dtype=policy),
        ]
        for i in range(1, count):
            chain += [
                EvoNormS0(dtype=policy, name=f"norm_{i - 1}"),
                _upsampling(
                    channels[i],
                    (vertical[i][0], horizontal[i][0]),
                    vertical[i][1],
                    dtype=policy,
                    name=f"upsampling_{i}",
                ),
            ]
        self.chain = chain


def _upsampling(
    filters: int, kernel: tuple[int, int], stride: int, **kwargs: Any
) -> keras.layers.Layer:
    if stride == 2 and set(kernel) <= {3, 4}:
        return TransposedConvolution(filters, kernel, (0, 0), **kwargs)
    return keras.layers.Conv2DTranspose(
        filters, kernel, strides=stride, **kwargs
    )
