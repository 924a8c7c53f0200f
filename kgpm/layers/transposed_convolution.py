"""Transposed convolution of stride two, computed as a sub-pixel one."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError


@keras.saving.register_keras_serializable(package="kgpm")
class TransposedConvolution(keras.layers.Layer):
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
        self.crop = tuple(crop)

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
        # A crop of 2 is what a convolution without padding loses anyway.
        padding = [1 if crop < 2 else 0 for crop in self.crop]
        if any(padding):
            inputs = ops.pad(
                inputs, [(0, 0), *((p, p) for p in padding), (0, 0)]
            )
        phases = ops.conv(inputs, self._phase_kernel(), padding="valid")
        height, width = phases.shape[1:3]
        grid = ops.reshape(phases, (-1, height, width, 2, 2, self.filters))
        outputs = ops.reshape(
            ops.transpose(grid, (0, 1, 3, 2, 4, 5)),
            (-1, 2 * height, 2 * width, self.filters),
        )
        return self._trim(outputs, padding) + self.bias

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        sides = [
            2 * (side - 1) + kernel - 2 * crop
            for side, kernel, crop in zip(
                input_shape[1:3], self.kernel_size, self.crop, strict=True
            )
        ]
        return (input_shape[0], *sides, self.filters)

    def _phase_kernel(self) -> Any:
        """`[k, k, filters, C]` to `[2, 2, C, 4 filters]`.

        Output 2m + a takes `sum_j x[m - j] w[a + 2j]`: tap t of the ordinary
        convolution, which reads x[m - 1 + t], holds w[a + 2 (1 - t)].
        """
        missing = [(0, 4 - size) for size in self.kernel_size]
        kernel = ops.pad(self.kernel, [*missing, (0, 0), (0, 0)])
        channels = kernel.shape[-1]
        taps = ops.reshape(kernel, (2, 2, 2, 2, self.filters, channels))
        taps = ops.flip(taps, axis=(0, 2))
        taps = ops.transpose(taps, (0, 2, 5, 1, 3, 4))
        return ops.reshape(taps, (2, 2, channels, 4 * self.filters))

    def _trim(self, outputs: Any, padding: list[int]) -> Any:
        sides = self.compute_output_shape(
            (
                None,
                *(
                    side // 2 - 2 * p + 1
                    for side, p in zip(outputs.shape[1:3], padding, strict=True)
                ),
                None,
            )
        )[1:3]
        starts = [
            crop if pad else crop - 2
            for crop, pad in zip(self.crop, padding, strict=True)
        ]
        if not any(starts) and tuple(sides) == tuple(outputs.shape[1:3]):
            return outputs
        # The gradient of a slice is a padding; that of strided indexing
        # takes as long as a convolution.
        return ops.slice(
            outputs,
            (0, *starts, 0),
            (ops.shape(outputs)[0], *sides, self.filters),
        )

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            filters=self.filters, kernel_size=self.kernel_size, crop=self.crop
        )
        return config
