"""Convolutions with gradients that are written out: faster on a CPU."""

from typing import Any
from typing import NamedTuple

from keras import ops

Padding = tuple[tuple[int, int], tuple[int, int]]


def convolve_padded(inputs: Any, kernel: Any, padding: Padding) -> Any:
    """A convolution of stride one over inputs with zeros around them.

    The gradient for the inputs is a convolution too, of what flows back with
    the kernel turned by half a turn, and it is taken for the inputs alone:
    around maps of a few pixels, that of the padded inputs is up to twice the
    work.

    Args:
        inputs: `[N, H, W, C]`.
        kernel: `[height, width, C, filters]`, a tensor.
        padding: zeros before and after the rows and the columns, at most a
            kernel's size less one.

    Returns:
        `[N, H + padding - height + 1, W + padding - width + 1, filters]`.
    """
    sides = kernel.shape[:2]
    # Input i is in outputs i + before - (side - 1) to i + before.
    rest = tuple(
        (side - 1 - before, side - 1 - after)
        for side, (before, after) in zip(sides, padding, strict=True)
    )

    @ops.custom_gradient
    def with_gradient(inputs: Any, outputs: Any) -> tuple[Any, Any]:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            turned = ops.swapaxes(ops.flip(kernel, (0, 1)), 2, 3)
            return _convolve(upstream, turned, rest), upstream

        return outputs, gradient

    # The kernel has its gradient from here, the inputs theirs from above.
    outputs = _convolve(ops.stop_gradient(inputs), kernel, padding)
    return with_gradient(inputs, outputs)


def transposed_convolution(
    inputs: Any,
    kernel: Any,
    crop: tuple[int, int],
    sides: tuple[int, int],
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
        sides: of the result, `2 (H - 1) + height - 2 crop` rows or one more,
            which then comes after them, and columns likewise.

    Returns:
        `[N, *sides, filters]`.
    """
    filters = kernel.shape[2]
    vertical, horizontal = (
        _Alignment.of(*each)
        for each in zip(
            kernel.shape[:2], crop, inputs.shape[1:3], sides, strict=True
        )
    )
    padding = (vertical.padding, horizontal.padding)
    phase_kernel = _phase_kernel(kernel, vertical.taps, horizontal.taps)
    if any(map(any, padding)):
        phases = convolve_padded(inputs, phase_kernel, padding)
    else:
        phases = ops.conv(inputs, phase_kernel, padding="valid")
    height, width = phases.shape[1:3]
    grid = ops.reshape(phases, (-1, height, width, 2, 2, filters))
    outputs = ops.reshape(
        ops.transpose(grid, (0, 1, 3, 2, 4, 5)),
        (-1, 2 * height, 2 * width, filters),
    )
    if sides != (2 * height, 2 * width):
        # The gradient of a slice is a padding; that of strided indexing
        # takes as long as a convolution.
        outputs = ops.slice(
            outputs,
            (0, vertical.surplus, horizontal.surplus, 0),
            (ops.shape(outputs)[0], *sides, filters),
        )
    return outputs


def give_transposed_gradient(inputs: Any, outputs: Any, kernel: Any) -> Any:
    """`outputs` of a strided convolution, with a fast gradient for its inputs.

    The gradient for the inputs of a 4x4 convolution of stride 2 is a
    transposed convolution of what flows back. A CPU computes it faster as a
    sub-pixel one, and for the inputs alone, without the padding around them.

    Args:
        inputs: `[N, H, W, C]`.
        outputs: `[N, H // 2 + 1, W // 2 + 1, filters]`, the convolution of
            `ops.stop_gradient(inputs)` with two pixels of padding around
            them; it has no other gradient for the inputs.
        kernel: `[4, 4, C, filters]`, of the convolution.

    Returns:
        `outputs`; the kernel has its gradient through them.
    """
    sides = tuple(inputs.shape[1:3])

    @ops.custom_gradient
    def with_gradient(inputs: Any, outputs: Any) -> tuple[Any, Any]:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            taps = ops.cast(kernel, upstream.dtype)
            back = transposed_convolution(upstream, taps, (2, 2), sides)
            return back, upstream

        return outputs, gradient

    return with_gradient(inputs, outputs)


def _convolve(inputs: Any, kernel: Any, padding: tuple) -> Any:
    same = tuple(((side - 1) // 2, side // 2) for side in kernel.shape[:2])
    if padding == same:
        return ops.conv(inputs, kernel, padding="same")
    if any(map(any, padding)):
        inputs = ops.pad(inputs, [(0, 0), *padding, (0, 0)])
    return ops.conv(inputs, kernel, padding="valid")


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
