"""Transposed convolution of stride two, computed as a sub-pixel one."""

from typing import Any

import keras

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.ops import transposed_convolution


@keras.saving.register_keras_serializable(package="kgpm")
class TransposedConvolution(Configured, keras.layers.Layer):
    """`Conv2DTranspose` with stride 2 and cropping, faster on a CPU.

    With stride 2 the pixels of even and odd rows and columns each see their
    own 2x2 part of the kernel. So one ordinary 2x2 convolution to four times
    the filters gives all four, and interleaving them is the result: for one
    output channel five times as fast as the gradient of a convolution that
    `Conv2DTranspose` runs, and crops other than Keras's "same" come for free.

    Args:
        filters: output channels.
        kernel_size: 3 or 4 for each of height and width.
        crop: pixels taken off each side, 0 to 2, of height and width.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]` with known H and W.

    Returns:
        `[N, 2 (H - 1) + kernel - 2 crop, ..., filters]`.

    Raises:
        UserError: other kernel sizes or crops.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: tuple[int, int],
        crop: tuple[int, int],
        **kwargs: Any,
    ) -> None:
        if not set(kernel_size) <= {3, 4} or not set(crop) <= {0, 1, 2}:
            raise UserError(
                "Expected kernel sizes of 3 or 4 and crops of 0 to 2, "
                f"received kernel_size={kernel_size} and crop={crop}."
            )
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.crop = (crop[0], crop[1])

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, self.filters, input_shape[-1]),
            initializer="glorot_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="bias"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        _, height, width, _ = self.compute_output_shape(inputs.shape)
        outputs = transposed_convolution(
            inputs, self.kernel, self.crop, (height, width)
        )
        return outputs + self.bias

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        height, width = (
            2 * (side - 1) + kernel - 2 * crop
            for side, kernel, crop in zip(
                input_shape[1:3], self.kernel_size, self.crop, strict=True
            )
        )
        return (input_shape[0], height, width, self.filters)
