"""Transposed convolution of stride two, computed as a sub-pixel one."""

from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.ops import convolve_padded


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
        sides = self.compute_output_shape(inputs.shape)[1:3]
        vertical, horizontal = (
            _Alignment.of(*each)
            for each in zip(
                self.kernel_size,
                self.crop,
                inputs.shape[1:3],
                sides,
                strict=True,
            )
        )
        padding = (vertical.padding, horizontal.padding)
        kernel = self._phase_kernel(vertical.taps, horizontal.taps)
        if any(map(any, padding)):
            phases = convolve_padded(inputs, kernel, padding)
        else:
            phases = ops.conv(inputs, kernel, padding="valid")
        height, width = phases.shape[1:3]
        grid = ops.reshape(phases, (-1, height, width, 2, 2, self.filters))
        outputs = ops.reshape(
            ops.transpose(grid, (0, 1, 3, 2, 4, 5)),
            (-1, 2 * height, 2 * width, self.filters),
        )
        if sides != (2 * height, 2 * width):
            # The gradient of a slice is a padding; that of strided indexing
            # takes as long as a convolution.
            outputs = ops.slice(
                outputs,
                (0, vertical.surplus, horizontal.surplus, 0),
                (ops.shape(outputs)[0], *sides, self.filters),
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

    def _phase_kernel(self, vertical: list, horizontal: list) -> Any:
        """`[2, 2, C, 4 filters]`, the phases before the filters."""
        # The last row and column are what a tap without an element takes.
        kernel = ops.pad(self.kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])
        kernel = ops.take(kernel, ops.convert_to_tensor(vertical), axis=0)
        kernel = ops.take(kernel, ops.convert_to_tensor(horizontal), axis=2)
        # [tap, phase, tap, phase, filters, C]
        kernel = ops.transpose(kernel, (0, 2, 5, 1, 3, 4))
        return ops.reshape(kernel, (*kernel.shape[:3], 4 * self.filters))

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            filters=self.filters, kernel_size=self.kernel_size, crop=self.crop
        )
        return config


class _Alignment(NamedTuple):
    """How two taps give both phases of one side.

    Output `2 m + a` is element `e = 2 m + a + crop` of the transposed
    convolution before its crop, and `e` takes `sum_o x[m + o] w[e - 2 m - 2 o]`
    over the two offsets o for which w has an element, o = 0, 1 or -1, 0.

    Attributes:
        taps: `[2 taps][2 phases]`, the kernel's element, its size for none.
        padding: pixels before and after the inputs.
        surplus: outputs before the first one that is wanted.
    """

    taps: list[list[int]]
    padding: tuple[int, int]
    surplus: int

    @classmethod
    def of(cls, kernel: int, crop: int, side: int, output: int) -> "_Alignment":
        # A kernel of 4 that loses one pixel would take three taps: it
        # computes that pixel too. So does one of 3, whose padding is then
        # before the inputs, and that of their gradient "same".
        surplus = int(crop == 1)
        start = crop - surplus
        before = 1 if start == 0 else 0
        elements = [
            [phase + start - 2 * (tap - before) for phase in (0, 1)]
            for tap in (0, 1)
        ]
        taps = [
            [e if 0 <= e < kernel else kernel for e in row] for row in elements
        ]
        positions = -(-(output + surplus) // 2)
        return cls(taps, (before, positions + 1 - side - before), surplus)
