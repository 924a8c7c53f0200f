"""Images to codes."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.networks import image_sizes
from kgpm.layers.networks.contract import Encoder
from kgpm.layers.networks.residual_block import ResidualBlock
from kgpm.ops import give_transposed_gradient


@keras.saving.register_keras_serializable(package="kgpm")
class ImageEncoder(Encoder):
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
        shape = image_sizes.check_image_shape(image_shape)
        check_sizes(code_size=code_size)
        super().__init__(**kwargs)
        self.image_shape = shape
        self.code_size = code_size
        self.width = width
        self.num_blocks = num_blocks
        self.normalization = normalization
        scales = image_sizes.num_scales(max(shape[:2]))
        policy = self.dtype_policy
        self.padding = keras.layers.ZeroPadding2D(2, dtype=policy)
        self.downsamplings = []
        self.blocks = []
        for i, channels in enumerate(image_sizes.scale_widths(width, scales)):
            downsampling = keras.layers.Conv2D(
                channels, 4, strides=2, dtype=policy, name=f"downsampling_{i}"
            )
            self.downsamplings.append(downsampling)
            self.blocks.append(
                [
                    ResidualBlock(
                        channels,
                        normalization,
                        dtype=policy,
                        name=f"block_{i}_{j}",
                    )
                    for j in range(num_blocks)
                ]
            )
        self.flatten = keras.layers.Flatten(dtype=policy)
        self.head = keras.layers.Dense(code_size, dtype="float32", name="head")

    def build(self, input_shape: tuple | None = None) -> None:
        height, width, channels = self.image_shape
        for downsampling, blocks in zip(
            self.downsamplings, self.blocks, strict=True
        ):
            downsampling.build((None, height + 4, width + 4, channels))
            height, width = height // 2 + 1, width // 2 + 1
            channels = downsampling.filters
            for block in blocks:
                block.build((None, height, width, channels))
        self.head.build((None, height * width * channels))
        self.built = True

    def encode(self, images: Any, training: bool | None) -> Any:
        hidden = images
        for downsampling, blocks in zip(
            self.downsamplings, self.blocks, strict=True
        ):
            # The inputs have their gradient from the second call alone.
            padded = self.padding(ops.stop_gradient(hidden))
            hidden = give_transposed_gradient(
                hidden, downsampling(padded), downsampling.kernel
            )
            for block in blocks:
                hidden = block(hidden)
        return self.head(self.flatten(hidden))
