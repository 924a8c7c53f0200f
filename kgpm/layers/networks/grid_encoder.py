"""Images to grids of vectors."""

from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.errors import check_sizes
from kgpm.layers.networks.contract import Encoder
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.image_sizes import scale_widths
from kgpm.layers.networks.residual_stack import ResidualStack

# Two convolutions of stride 2.
REDUCTION = 4


def grid_shape(image_shape: tuple) -> tuple[int, int]:
    """Rows and columns of an image's grid.

    Raises:
        UserError: sides that are no multiples of 4.
    """
    height, width, _ = check_image_shape(image_shape)
    if height % REDUCTION or width % REDUCTION:
        raise UserError(
            f"Expected images with sides that are multiples of {REDUCTION}, "
            f"received {height} x {width}; --image_size resizes them."
        )
    return height // REDUCTION, width // REDUCTION


@keras.saving.register_keras_serializable(package="kgpm")
class GridEncoder(Encoder):
    """The convolutional encoder of VQ-VAE: a vector for every 4x4 pixels.

    Two 4x4 convolutions of stride 2 with ReLU, a 3x3 one, a residual stack
    and a 1x1 convolution.

    Args:
        image_shape: `(H, W, channels)`.
        embedding_dim: D, length of a vector.
        width: channels of the finer and the coarser scale.
        residual_width: channels inside the residual blocks.
        num_blocks: residual blocks.
        share_blocks: see `ResidualStack`.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        `[..., H / 4, W / 4, D]`, float32 under every dtype policy: distances
        need the precision.

    Raises:
        UserError: sizes that make no network.
    """

    def __init__(
        self,
        image_shape: tuple,
        embedding_dim: int = 64,
        width: int | list | tuple = (64, 128),
        residual_width: int = 32,
        num_blocks: int = 2,
        share_blocks: bool = False,
        **kwargs: Any,
    ) -> None:
        check_sizes(embedding_dim=embedding_dim)
        self.grid_shape = grid_shape(image_shape)
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.embedding_dim = embedding_dim
        self.width = width
        self.residual_width = residual_width
        self.num_blocks = num_blocks
        self.share_blocks = share_blocks
        fine, coarse = scale_widths(width, 2)
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                size,
                strides=strides,
                padding="same",
                activation=activation,
                dtype=self.dtype_policy,
                name=name,
            )
            for filters, size, strides, activation, name in (
                (fine, 4, 2, "relu", "downsampling_0"),
                (coarse, 4, 2, "relu", "downsampling_1"),
                (coarse, 3, 1, None, "convolution"),
            )
        ]
        self.stack = ResidualStack(
            coarse,
            residual_width,
            num_blocks,
            share_blocks,
            dtype=self.dtype_policy,
            name="stack",
        )
        self.head = keras.layers.Conv2D(
            embedding_dim, 1, dtype="float32", name="head"
        )

    def build(self, input_shape: tuple | None = None) -> None:
        shape = (None, *self.image_shape)
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.stack.build(shape)
        self.head.build(shape)
        self.built = True

    def encode(self, images: Any, training: bool | None) -> Any:
        hidden = images
        for convolution in self.convolutions:
            hidden = convolution(hidden)
        return self.head(self.stack(hidden))
