"""The residual stack of VQ-VAE's networks."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_sizes


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
        if num_blocks < 0:
            raise UserError(
                f"Expected num_blocks of at least 0, received {num_blocks}."
            )
        super().__init__(**kwargs)
        self.width = width
        self.hidden_width = hidden_width
        self.num_blocks = num_blocks
        self.share_blocks = share_blocks
        self.blocks = [
            [
                keras.layers.Conv2D(
                    filters,
                    size,
                    padding="same",
                    use_bias=False,
                    dtype=self.dtype_policy,
                    name=f"convolution_{i}_{size}",
                )
                for filters, size in ((hidden_width, 3), (width, 1))
            ]
            for i in range(min(num_blocks, 1) if share_blocks else num_blocks)
        ]

    def build(self, input_shape: tuple) -> None:
        hidden_shape = (*input_shape[:-1], self.hidden_width)
        for first, second in self.blocks:
            first.build(input_shape)
            second.build(hidden_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        hidden = inputs
        for i in range(self.num_blocks):
            first, second = self.blocks[0 if self.share_blocks else i]
            rectified = ops.relu(hidden)
            added = second(ops.relu(first(rectified)))
            hidden = (rectified if self.share_blocks else hidden) + added
        return ops.relu(hidden)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
