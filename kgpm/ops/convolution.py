"""A transposed convolution as a sub-pixel one: faster on a CPU."""

from typing import Any
from typing import NamedTuple

from keras import ops


def transposed_convolution(
    inputs: Any, kernel: Any, crop: tuple[int, int]
) -> Any:
    """A transposed convolution of stride 2, computed as a sub-pixel one.

    The pixels of even and odd rows and columns each see their own 2x2 part
    of the kernel. So one ordinary 2x2 convolution to four times the filters
    gives all four, and interleaving them is the result.

    Args:
        inputs: `[N, H, W, C]` with known H and W.
        kernel: `[height, width, filters, C]`, a tensor; 3 or 4 rows and
            columns.
        crop: pixels taken off each side, 0 to 2, of height and width.

    Returns:
        `[N, 2 (H - 1) + height - 2 crop, ..., filters]`.
    """
    filters = kernel.shape[2]
    vertical, horizontal = (
        _Alignment.of(*each)
        for each in zip(kernel.shape[:2], crop, inputs.shape[1:3], strict=True)
    )
    padding = [(0, 0), vertical.padding, horizontal.padding, (0, 0)]
    if any(map(any, padding)):
        inputs = ops.pad(inputs, padding)
    phase_kernel = _phase_kernel(kernel, vertical.taps, horizontal.taps)
    phases = ops.conv(inputs, phase_kernel, padding="valid")
    height, width = phases.shape[1:3]
    grid = ops.reshape(phases, (-1, height, width, 2, 2, filters))
    outputs = ops.reshape(
        ops.transpose(grid, (0, 1, 3, 2, 4, 5)),
        (-1, 2 * height, 2 * width, filters),
    )
    sides = (vertical.side, horizontal.side)
    if sides != (2 * height, 2 * width):
        # The gradient of a slice is a padding; that of strided indexing
        # takes as long as a convolution.
        outputs = ops.slice(
            outputs,
            (0, vertical.surplus, horizontal.surplus, 0),
            (ops.shape(outputs)[0], *sides, filters),
        )
    return outputs


def _phase_kernel(kernel: Any, vertical: list, horizontal: list) -> Any:
    """`[2, 2, C, 4 filters]`, the phases before the filters."""
    # The last row and column are what a tap without an element takes.
    kernel = ops.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])
    kernel = ops.take(kernel, ops.convert_to_tensor(vertical), axis=0)
    kernel = ops.take(kernel, ops.convert_to_tensor(horizontal), axis=2)
    # [tap, phase, tap, phase, filters, C]
    kernel = ops.transpose(kernel, (0, 2, 5, 1, 3, 4))
    return ops.reshape(kernel, (*kernel.shape[:3], -1))


class _Alignment(NamedTuple):
    """How two taps give both phases of one side.

    Output `2 m + a` is element `e = 2 m + a + crop` of the transposed
    convolution before its crop, and `e` takes `sum_o x[m + o] w[e - 2 m - 2 o]`
    over the two offsets o for which w has an element, o = 0, 1 or -1, 0.

    Attributes:
        taps: `[2 taps][2 phases]`, the kernel's element, its size for none.
        padding: pixels before and after the inputs.
        surplus: outputs before the first one that is wanted.
        side: outputs that are wanted.
    """

    taps: list[list[int]]
    padding: tuple[int, int]
    surplus: int
    side: int

    @classmethod
    def of(cls, kernel: int, crop: int, side: int) -> "_Alignment":
        # A kernel of 4 that loses one pixel would take three taps: it
        # computes that pixel too. So does one of 3, whose padding is then
        # before the inputs.
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
        output = 2 * (side - 1) + kernel - 2 * crop
        positions = -(-(output + surplus) // 2)
        padding = (before, positions + 1 - side - before)
        return cls(taps, padding, surplus, output)
