"""The convolutional networks of VQ-VAE, between images and grids of vectors."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_not_negative
from kgpm.errors import check_sizes
from kgpm.layers.networks.blocks import Chain
from kgpm.layers.networks.blocks import TransposedConvolution
from kgpm.layers.networks.blocks import build_chain
from kgpm.layers.networks.image_networks import Decoder
from kgpm.layers.networks.image_networks import Encoder
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.image_sizes import scale_widths

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
class ResidualStack(Configured, keras.layers.Layer):
    """Blocks of ReLU, 3x3, ReLU and 1x1 convolution, added to their input.

    A ReLU ends it. The convolutions have no biases.

    Args:
        width: channels, of the input too.
        hidden_width: channels between the two convolutions of a block.
        num_blocks: blocks.
        share_blocks: whether all blocks have the same weights and add to the
            rectified input, as a slip in PyTorch ports has it (a list times
            two, and ReLUs in place).
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, width]`.

    Returns:
        `[N, H, W, width]`.

    Raises:
        UserError: sizes below 1.

    Source: van den Oord et al., "Neural Discrete Representation Learning",
    NeurIPS 2017, section 4.1.
    """

    def __init__(
        self,
        width: int,
        hidden_width: int = 32,
        num_blocks: int = 2,
        share_blocks: bool = False,
        **kwargs: Any,
    ) -> None:
        check_sizes(width=width, hidden_width=hidden_width)
        check_not_negative(num_blocks=num_blocks)
        super().__init__(**kwargs)
        self.num_blocks = num_blocks
        self.share_blocks = share_blocks
        # Two for each block.
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                size,
                padding="same",
                use_bias=False,
                dtype=self.dtype_policy,
                name=f"convolution_{i}_{size}",
            )
            for i in range(min(num_blocks, 1) if share_blocks else num_blocks)
            for filters, size in ((hidden_width, 3), (width, 1))
        ]

    def build(self, input_shape: tuple) -> None:
        build_chain(self.convolutions, input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        hidden = inputs
        for i in range(self.num_blocks):
            start = 0 if self.share_blocks else 2 * i
            first, second = self.convolutions[start : start + 2]
            rectified = ops.relu(hidden)
            added = second(ops.relu(first(rectified)))
            hidden = (rectified if self.share_blocks else hidden) + added
        return ops.relu(hidden)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


@keras.saving.register_keras_serializable(package="kgpm")
class GridEncoder(Chain, Encoder):
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
        self.element_shape = check_image_shape(image_shape)
        fine, coarse = scale_widths(width, 2)
        policy = self.dtype_policy
        self.chain = [
            *(
                keras.layers.Conv2D(
                    filters,
                    size,
                    strides=strides,
                    padding="same",
                    activation=activation,
                    dtype=policy,
                    name=name,
                )
                for filters, size, strides, activation, name in (
                    (fine, 4, 2, "relu", "downsampling_0"),
                    (coarse, 4, 2, "relu", "downsampling_1"),
                    (coarse, 3, 1, None, "convolution"),
                )
            ),
            ResidualStack(
                coarse,
                residual_width,
                num_blocks,
                share_blocks,
                dtype=policy,
                name="stack",
            ),
            keras.layers.Conv2D(embedding_dim, 1, dtype="float32", name="head"),
        ]


@keras.saving.register_keras_serializable(package="kgpm")
class GridDecoder(Chain, Decoder):
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
        self.element_shape = (*grid_shape(image_shape), embedding_dim)
        super().__init__(**kwargs)
        fine, coarse = scale_widths(width, 2)
        policy = self.dtype_policy
        first, last = (
            TransposedConvolution(
                filters, (4, 4), (1, 1), dtype=policy, name=f"upsampling_{i}"
            )
            for i, filters in enumerate((fine, num_parameters))
        )
        self.chain = [
            keras.layers.Conv2D(
                coarse, 3, padding="same", dtype=policy, name="convolution"
            ),
            ResidualStack(
                coarse,
                residual_width,
                num_blocks,
                share_blocks,
                dtype=policy,
                name="stack",
            ),
            first,
            keras.layers.ReLU(dtype=policy),
            last,
        ]
