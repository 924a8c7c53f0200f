"""Grids of vectors to the parameters of an image's likelihood."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.networks.contract import Decoder
from kgpm.layers.networks.grid_encoder import grid_shape
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.image_sizes import scale_widths
from kgpm.layers.networks.residual_stack import ResidualStack
from kgpm.layers.networks.transposed_convolution import TransposedConvolution


@keras.saving.register_keras_serializable(package="kgpm")
class GridDecoder(Decoder):
    """The convolutional decoder of VQ-VAE, the mirror of `GridEncoder`.

    A 3x3 convolution, a residual stack, and two 4x4 transposed convolutions
    of stride 2 with ReLU between them.

    Args:
        image_shape: `(H, W, channels)`.
        embedding_dim: D, length of a vector.
        num_parameters: likelihood parameters a pixel.
        width: channels of the finer and the coarser scale.
        residual_width: channels inside the residual blocks.
        num_blocks: residual blocks.
        share_blocks: see `ResidualStack`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        latents: `[..., H / 4, W / 4, D]`.

    Returns:
        `[..., H, W, num_parameters]`, in the compute dtype.

    Raises:
        UserError: sizes that make no network.
    """

    latent_rank = 3

    def __init__(
        self,
        image_shape: tuple,
        embedding_dim: int,
        num_parameters: int,
        width: int | list | tuple = (64, 128),
        residual_width: int = 32,
        num_blocks: int = 2,
        share_blocks: bool = False,
        **kwargs: Any,
    ) -> None:
        check_sizes(embedding_dim=embedding_dim, num_parameters=num_parameters)
        self.grid_shape = grid_shape(image_shape)
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.embedding_dim = embedding_dim
        self.num_parameters = num_parameters
        self.width = width
        self.residual_width = residual_width
        self.num_blocks = num_blocks
        self.share_blocks = share_blocks
        # Of the maps that are enlarged.
        self.heights, self.widths = ([n, 2 * n] for n in self.grid_shape)
        fine, coarse = scale_widths(width, 2)
        policy = self.dtype_policy
        self.convolution = keras.layers.Conv2D(
            coarse, 3, padding="same", dtype=policy, name="convolution"
        )
        self.stack = ResidualStack(
            coarse,
            residual_width,
            num_blocks,
            share_blocks,
            dtype=policy,
            name="stack",
        )
        self.upsamplings = [
            TransposedConvolution(
                filters, (4, 4), (1, 1), dtype=policy, name=f"upsampling_{i}"
            )
            for i, filters in enumerate((fine, num_parameters))
        ]

    def build(self, input_shape: tuple | None = None) -> None:
        shape = (None, *self.grid_shape, self.embedding_dim)
        self.convolution.build(shape)
        shape = self.convolution.compute_output_shape(shape)
        self.stack.build(shape)
        for upsampling in self.upsamplings:
            upsampling.build(shape)
            shape = upsampling.compute_output_shape(shape)
        self.built = True

    def decode(self, latents: Any, training: bool | None) -> Any:
        hidden = self.stack(self.convolution(latents))
        first, last = self.upsamplings
        return last(ops.relu(first(hidden)))
