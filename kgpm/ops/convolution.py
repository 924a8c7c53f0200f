"""Convolution over padded inputs whose gradient leaves the padding out."""

from typing import Any

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


def _convolve(inputs: Any, kernel: Any, padding: tuple) -> Any:
    same = tuple(((side - 1) // 2, side // 2) for side in kernel.shape[:2])
    if padding == same:
        return ops.conv(inputs, kernel, padding="same")
    if any(map(any, padding)):
        inputs = ops.pad(inputs, [(0, 0), *padding, (0, 0)])
    return ops.conv(inputs, kernel, padding="valid")
