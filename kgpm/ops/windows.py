"""Reading windows of an image-shaped memory: the spatial transformer."""

from typing import Any

from keras import ops


def bounded_windows(keys: Any) -> Any:
    """Keys of any size to windows that lie inside the memory.

    `s = 0.1 + 0.9 sigmoid(y_0)` and `(x, y) = (1 - s) tanh(y_1, y_2)`.

    Args:
        keys: `[..., 3]`.

    Returns:
        `(s, x, y)`, `[..., 3]`.
    """
    scale = 0.1 + 0.9 * ops.sigmoid(keys[..., :1])
    shift = (1.0 - scale) * ops.tanh(keys[..., 1:])
    return ops.concatenate([scale, shift], axis=-1)


def read_windows(memory: Any, windows: Any, size: tuple[int, int]) -> Any:
    """Samples windows of memories bilinearly, zero outside.

    A window `(s, x, y)` reads at the points `s u + x` of a row and `s v + y`
    of a column, u and v evenly spaced in [-1, 1], where -1 and 1 are the
    centres of the outermost cells: (1, 0, 0) reads the whole memory, and with
    the memory's own size it returns it exactly; |s| < 1 reads a part, s < 0
    mirrors.

    The affine map has no rotation, so that the bilinear weights are a product
    of one matrix for rows and one for columns: two matrix products read all
    windows, without a gather or a copy of the memory for each window, and
    carry gradients to memory and windows alike. (The weights have a kink at
    cell centres, where the gradient for a window is 0.)

    Args:
        memory: `[B, H, W, C]`.
        windows: `[B, Q, K, 3]`, K windows for each of Q reads.
        size: `(h, w)`, points of a window, each at least 2.

    Returns:
        `[B, Q, h, w, K C]`, the K windows stacked on their channels.

    Source: Jaderberg et al., "Spatial Transformer Networks", 2015;
    Ramapuram et al., "Kanerva++", ICLR 2021, appendix A, equation 8.
    """
    height, width, channels = memory.shape[1:]
    reads, count = ops.shape(windows)[1], windows.shape[2]
    scale = windows[..., :1]
    rows = _places(scale, windows[..., 2:], size[0], height)
    columns = _places(scale, windows[..., 1:2], size[1], width)
    # Each lies as its product takes it: turning it there costs a quarter more.
    rows = _weights(rows[..., None], ops.arange(height, dtype=rows.dtype))
    columns = _weights(
        columns[..., None, :], ops.arange(width, dtype=rows.dtype)[:, None]
    )
    # The rows of all windows meet a memory in one product; its columns are
    # then those of one window each.
    rows = ops.reshape(rows, (-1, reads * count * size[0], height))
    cells = ops.transpose(memory, (0, 1, 3, 2))
    cells = ops.reshape(cells, (-1, height, channels * width))
    bands = ops.reshape(
        ops.matmul(rows, cells), (-1, size[0] * channels, width)
    )
    columns = ops.reshape(columns, (-1, width, size[1]))
    points = ops.matmul(bands, columns)
    points = ops.reshape(points, (-1, reads, count, size[0], channels, size[1]))
    points = ops.transpose(points, (0, 1, 3, 5, 2, 4))
    return ops.reshape(points, (-1, reads, *size, count * channels))


def share_inside(windows: Any) -> Any:
    """Which share of each window's area lies inside the memory.

    A window outside reads zeros and has no gradient.

    Args:
        windows: `[..., 3]`.

    Returns:
        `[...]`, from 0 to 1.
    """
    # A window of scale 0 is a point.
    scale = ops.maximum(ops.abs(windows[..., :1]), 1e-6)
    shift = windows[..., 1:]
    upper = ops.minimum(shift + scale, 1.0)
    lower = ops.maximum(shift - scale, -1.0)
    inside = ops.maximum(upper - lower, 0.0) / (2.0 * scale)
    return ops.prod(inside, axis=-1)


def _places(scale: Any, shift: Any, points: int, cells: int) -> Any:
    """Where points fall among the cells, `[..., points]`, from `[..., 1]`."""
    dtype = scale.dtype
    # In units of cells from the middle: as many points as cells fall on their
    # centres without rounding.
    middle = 0.5 * (cells - 1)
    steps = ops.arange(points, dtype=dtype) - 0.5 * (points - 1)
    place = scale * steps * ((cells - 1) / (points - 1)) + shift * middle
    return place + middle


def _weights(places: Any, cells: Any) -> Any:
    """Bilinear weights of cells at places."""
    return ops.relu(1.0 - ops.abs(places - cells))
