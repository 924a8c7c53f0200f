"""Codes to the parameters of an image's likelihood."""

from typing import Any

import keras

from kgpm.errors import check_sizes
from kgpm.layers.networks import image_sizes
from kgpm.layers.networks.contract import Decoder
from kgpm.layers.networks.residual_block import ResidualBlock
from kgpm.layers.networks.transposed_convolution import TransposedConvolution


@keras.saving.register_keras_serializable(package="kgpm")
class ImageDecoder(Decoder):
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
        shape = image_sizes.check_image_shape(image_shape)
        check_sizes(code_size=code_size, num_parameters=num_parameters)
        super().__init__(**kwargs)
        self.image_shape = shape
        self.code_size = code_size
        self.num_parameters = num_parameters
        self.width = width
        self.num_blocks = num_blocks
        self.normalization = normalization
        scales = image_sizes.num_scales(max(shape[:2]))
        self.heights = image_sizes.decoder_sizes(shape[0], scales)
        self.widths = image_sizes.decoder_sizes(shape[1], scales)
        channels = image_sizes.scale_widths(width, scales)[::-1]
        policy = self.dtype_policy
        self.stem = keras.layers.Dense(
            self.heights[0] * self.widths[0] * channels[0],
            dtype=policy,
            name="stem",
        )
        self.reshape = keras.layers.Reshape(
            (self.heights[0], self.widths[0], channels[0]), dtype=policy
        )
        self.blocks = []
        self.upsamplings = []
        for i in range(scales):
            self.blocks.append(
                [
                    ResidualBlock(
                        channels[i],
                        normalization,
                        dtype=policy,
                        name=f"block_{i}_{j}",
                    )
                    for j in range(num_blocks)
                ]
            )
            vertical = image_sizes.transposed_kernel(*self.heights[i : i + 2])
            horizontal = image_sizes.transposed_kernel(*self.widths[i : i + 2])
            last = i + 1 == scales
            self.upsamplings.append(
                TransposedConvolution(
                    num_parameters if last else channels[i + 1],
                    (vertical[0], horizontal[0]),
                    (vertical[1], horizontal[1]),
                    dtype=policy,
                    name=f"upsampling_{i}",
                )
            )

    def build(self, input_shape: tuple | None = None) -> None:
        self.stem.build((None, self.code_size))
        channels = self.reshape.target_shape[-1]
        for i, blocks in enumerate(self.blocks):
            shape = (None, self.heights[i], self.widths[i], channels)
            for block in blocks:
                block.build(shape)
            self.upsamplings[i].build(shape)
            channels = self.upsamplings[i].filters
        self.built = True

    def decode(self, latents: Any, training: bool | None) -> Any:
        hidden = self.reshape(self.stem(latents))
        for blocks, upsampling in zip(
            self.blocks, self.upsamplings, strict=True
        ):
            for block in blocks:
                hidden = block(hidden)
            hidden = upsampling(hidden)
        return hidden
