"""The residual block of ResNet18 with a temporal shift."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.layers.networks.batch_normalization import BatchNormalization
from kgpm.layers.networks.blocks import build_chain
from kgpm.ops import temporal_shift


@keras.saving.register_keras_serializable(package="kgpm")
class TemporalShiftBlock(Configured, keras.layers.Layer):
    """shift - conv - BN - ReLU - conv - BN, plus the unshifted input, ReLU.

    Where width or stride change, the input passes a 1x1 convolution and batch
    normalisation of its own.

    Args:
        width: channels of the output.
        stride: of the first convolution.
        shift_fraction: share of the channels that moves each way.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]`, N = B T images, those of an episode together.
        length: T.
        weights: `[B, T]`, 0 for an absent image; `None` for all present.
        training: whether batch normalisation takes the batch's statistics.

    Returns:
        `[N, ceil(H / stride), ceil(W / stride), width]`.

    Source: He et al., "Deep Residual Learning", 2016; Lin et al., "TSM",
    2019.
    """

    def __init__(
        self,
        width: int,
        stride: int = 1,
        shift_fraction: float = 0.125,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.stride = stride
        self.shift_fraction = shift_fraction
        policy = self.dtype_policy
        # Padding by hand: for even sides Keras's "same" pads one side only.
        self.padding = keras.layers.ZeroPadding2D(1, dtype=policy)
        self.convolutions = [
            keras.layers.Conv2D(
                width,
                3,
                strides=strides,
                use_bias=False,
                dtype=policy,
                name=f"convolution_{i}",
            )
            for i, strides in enumerate((stride, 1))
        ]
        self.norms = [
            BatchNormalization(dtype=policy, name=f"norm_{i}") for i in range(2)
        ]
        self.projection = keras.layers.Conv2D(
            width,
            1,
            strides=stride,
            use_bias=False,
            dtype=policy,
            name="projection",
        )
        self.projection_norm = BatchNormalization(
            dtype=policy, name="projection_norm"
        )

    def build(self, input_shape: tuple) -> None:
        inner = input_shape
        for convolution, norm in zip(
            self.convolutions, self.norms, strict=True
        ):
            inner = build_chain([self.padding, convolution, norm], inner)
        self.projects = self.stride != 1 or input_shape[-1] != self.width
        if self.projects:
            self.projection.build(input_shape)
            self.projection_norm.build(inner)
        self.built = True

    def call(
        self,
        inputs: Any,
        length: Any,
        weights: Any = None,
        training: bool | None = None,
    ) -> Any:
        episodes = ops.reshape(inputs, (-1, length, *inputs.shape[1:]))
        hidden = temporal_shift(episodes, self.shift_fraction, weights)
        hidden = ops.reshape(hidden, (-1, *inputs.shape[1:]))
        present = None if weights is None else ops.reshape(weights, (-1,))
        hidden = self.convolutions[0](self.padding(hidden))
        hidden = ops.relu(self.norms[0](hidden, present, training=training))
        hidden = self.convolutions[1](self.padding(hidden))
        hidden = self.norms[1](hidden, present, training=training)
        if self.projects:
            inputs = self.projection(inputs)
            inputs = self.projection_norm(inputs, present, training=training)
        return ops.relu(inputs + hidden)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, height, width, _ = input_shape
        return (
            batch,
            -(-height // self.stride),
            -(-width // self.stride),
            self.width,
        )
