"""The GPM's encoder and decoder, for images of any size."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_sizes
from kgpm.layers.networks.blocks import Chain
from kgpm.layers.networks.blocks import ResidualBlock
from kgpm.layers.networks.blocks import TransposedConvolution
from kgpm.layers.networks.contract import Decoder
from kgpm.layers.networks.contract import Encoder
from kgpm.ops import give_transposed_gradient

# Maps of at most this side are flattened into the code.
_SMALLEST_MAP = 5


def encoder_sizes(size: int, num_scales: int) -> list[int]:
    """Sides after each 4x4 stride-2 convolution with 2 pixels of padding.

    28 gives 28, 15, 8, 5; 32 gives 32, 17, 9, 5.
    """
    sizes = [size]
    for _ in range(num_scales):
        sizes.append(sizes[-1] // 2 + 1)
    return sizes


def decoder_sizes(size: int, num_scales: int) -> list[int]:
    """Sides of the decoder's maps, smallest first.

    28 gives 4, 8, 15, 28 (the GPM decoder); 32 gives 5, 9, 17, 32.
    """
    sizes = [size]
    for _ in range(num_scales):
        last = sizes[-1]
        sizes.append(last // 2 + 1 if last > 8 else max(last // 2, 1))
    return sizes[::-1]


def num_scales(size: int) -> int:
    """How many halvings bring `size` to a map that is small enough."""
    count = 0
    while encoder_sizes(size, count)[-1] > _SMALLEST_MAP:
        count += 1
    return max(count, 1)


def transposed_kernel(small: int, large: int) -> tuple[int, int]:
    """Kernel and crop of a stride-2 transposed convolution.

    A "valid" one gives 2 (small - 1) + kernel, of which `crop` is taken off
    each side: 15 to 28 is kernel 4, crop 2; 8 to 15 is kernel 3, crop 1.
    Keras's "same" padding can express neither.
    """
    kernel = 4 if large % 2 == 0 else 3
    crop = (2 * (small - 1) + kernel - large) // 2
    return kernel, crop


def check_image_shape(image_shape: tuple) -> tuple[int, int, int]:
    """`(H, W, C)` as integers, or a `UserError` that says what is wrong."""
    shape = tuple(int(side) for side in image_shape)
    if len(shape) != 3 or min(shape) < 1 or min(shape[:2]) < 4:
        raise UserError(
            "Expected image_shape to be (height, width, channels) with sides "
            f"of at least 4 pixels, received {tuple(image_shape)}."
        )
    return shape


def scale_widths(width: int | list | tuple, count: int) -> list[int]:
    """Channels at each of `count` scales, finest first.

    Args:
        width: one number for all scales, or a list; the last one is repeated
            where the list is shorter.
        count: number of scales.

    Raises:
        UserError: empty list, a number below 1, or more numbers than scales.
    """
    widths = [width] if isinstance(width, int) else list(width)
    if not widths or min(widths) < 1 or len(widths) > count:
        raise UserError(
            f"Expected width to be 1 to {count} positive numbers of "
            f"channels, finest scale first, received {width}."
        )
    return widths + [widths[-1]] * (count - len(widths))


def upsampling(
    filters: int, small: tuple, large: tuple, **kwargs: Any
) -> TransposedConvolution:
    """The layer that enlarges maps of `small` sides to `large` ones."""
    vertical, horizontal = map(transposed_kernel, small, large)
    kernels, crops = zip(vertical, horizontal, strict=True)
    return TransposedConvolution(filters, kernels, crops, **kwargs)


class _Downsampling(keras.layers.Conv2D):
    """A 4x4 convolution of stride 2, two pixels of padding, a fast gradient."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, 4, strides=2, **kwargs)

    def call(self, inputs: Any) -> Any:
        padding = [(0, 0), (2, 2), (2, 2), (0, 0)]
        # The inputs have their gradient from the second call alone.
        outputs = super().call(ops.pad(ops.stop_gradient(inputs), padding))
        return give_transposed_gradient(inputs, outputs, self.kernel)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, height, width, _ = input_shape
        return (batch, height // 2 + 1, width // 2 + 1, self.filters)


@keras.saving.register_keras_serializable(package="kgpm")
class ImageEncoder(Chain, Encoder):
    """Residual convolutional encoder of the GPM paper's code, any size.

    At each scale a 4x4 stride-2 convolution with two pixels of padding
    (28 - 15 - 8 - 5) and `num_blocks` residual blocks; then a linear layer.
    A larger image passes through more scales.

    Args:
        image_shape: `(H, W, channels)`.
        code_size: C, the length of a code.
        width: channels at every scale, or a list, finest scale first.
        num_blocks: residual blocks at each scale.
        normalization: `group` or `none`.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        Codes `[..., C]`, float32 under every dtype policy: the memory's algebra
        needs their precision.

    Raises:
        UserError: sizes or widths that make no network.
    """

    def __init__(
        self,
        image_shape: tuple,
        code_size: int,
        width: int | list = 16,
        num_blocks: int = 1,
        normalization: str = "group",
        **kwargs: Any,
    ) -> None:
        shape = check_image_shape(image_shape)
        check_sizes(code_size=code_size)
        super().__init__(**kwargs)
        self.element_shape = shape
        self.code_size = code_size
        policy = self.dtype_policy
        scales = num_scales(max(shape[:2]))
        chain: list[keras.layers.Layer] = []
        for i, channels in enumerate(scale_widths(width, scales)):
            chain.append(
                _Downsampling(channels, dtype=policy, name=f"downsampling_{i}")
            )
            chain += _blocks(i, num_blocks, channels, normalization, policy)
        self.chain = [
            *chain,
            keras.layers.Flatten(dtype=policy),
            keras.layers.Dense(code_size, dtype="float32", name="head"),
        ]


@keras.saving.register_keras_serializable(package="kgpm")
class ImageDecoder(Chain, Decoder):
    """Residual transposed-convolution decoder, the encoder's mirror.

    A linear layer makes the smallest map, then at each scale `num_blocks`
    residual blocks and a stride-2 transposed convolution
    (4 - 8 - 15 - 28). The last convolution gives the likelihood's parameters
    with nothing after it: normalising them would bound the logits.

    Args:
        image_shape: `(H, W, channels)`.
        code_size: length of a code.
        num_parameters: likelihood parameters a pixel.
        width: channels at every scale, or a list, finest scale first, as for
            `ImageEncoder`.
        num_blocks: residual blocks at each scale.
        normalization: `group` or `none`.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        `[..., H, W, num_parameters]`, in the compute dtype.

    Raises:
        UserError: sizes or widths that make no network.
    """

    def __init__(
        self,
        image_shape: tuple,
        code_size: int,
        num_parameters: int,
        width: int | list = 16,
        num_blocks: int = 1,
        normalization: str = "group",
        **kwargs: Any,
    ) -> None:
        shape = check_image_shape(image_shape)
        check_sizes(code_size=code_size, num_parameters=num_parameters)
        super().__init__(**kwargs)
        self.element_shape = (code_size,)
        policy = self.dtype_policy
        scales = num_scales(max(shape[:2]))
        # From the smallest to that of the image.
        sides = (decoder_sizes(side, scales) for side in shape[:2])
        maps = list(zip(*sides, strict=True))
        channels = [*scale_widths(width, scales)[::-1], num_parameters]
        first = (*maps[0], channels[0])
        chain = [
            keras.layers.Dense(math.prod(first), dtype=policy, name="stem"),
            keras.layers.Reshape(first, dtype=policy),
        ]
        for i in range(scales):
            chain += _blocks(i, num_blocks, channels[i], normalization, policy)
            chain.append(
                upsampling(
                    channels[i + 1],
                    maps[i],
                    maps[i + 1],
                    dtype=policy,
                    name=f"upsampling_{i}",
                )
            )
        self.chain = chain


def _blocks(
    scale: int, count: int, channels: int, normalization: str, policy: Any
) -> list[ResidualBlock]:
    return [
        ResidualBlock(
            channels, normalization, dtype=policy, name=f"block_{scale}_{i}"
        )
        for i in range(count)
    ]
