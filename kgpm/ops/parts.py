"""Work in parts: a function of slices, one after another, results joined."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# Numbers of the largest array of a part: 64 MB in float64.
LARGEST_PART = 2**23


def part_size(*row: Any) -> Any:
    """How many rows a part may have, at least 1.

    Args:
        *row: the sizes of what each row makes; tensors where they are unknown.
    """
    size = LARGEST_PART
    for each in row:
        size = size // each
    return max(size, 1) if isinstance(size, int) else ops.maximum(size, 1)


def in_parts(
    function: Callable[[Any, Any], Any], values: Any, size: Any, axis: int = 0
) -> Any:
    """`function` of all values, a part at a time, so that memory is bounded.

    One part is not begun before the one before it is done. A gradient keeps
    what it needs of all.

    Args:
        function: of a part and its number, to a nest of tensors with the rows
            of the part on the same axis. Rows of the last part that are beyond
            the end are zero.
        values: a nest of tensors, as long as each other along the axis.
        size: rows of a part.
        axis: 0 or 1.

    Returns:
        What `function` returns, for all rows.
    """
    length = ops.shape(keras.tree.flatten(values)[0])[axis]

    def whole() -> Any:
        return function(values, 0)

    def joined() -> Any:
        return _joined(function, values, length, size, axis)

    if isinstance(length, int) and isinstance(size, int):
        return whole() if length <= size else joined()
    # A scan of no steps has no outputs of unknown shape.
    return ops.cond(length <= size, whole, joined)


def _joined(
    function: Callable, values: Any, length: Any, size: Any, axis: int
) -> Any:
    count = (length + size - 1) // size

    def split(value: Any) -> Any:
        value = ops.moveaxis(value, axis, 0)
        rest = ops.shape(value)[1:]
        beyond = ops.zeros((count * size - length, *rest), value.dtype)
        value = ops.concatenate([value, beyond], axis=0)
        return ops.reshape(value, (count, size, *rest))

    parts = keras.tree.map_structure(split, values)

    def step(_: Any, number: Any) -> tuple[Any, Any]:
        part = keras.tree.map_structure(
            lambda value: ops.moveaxis(ops.take(value, number, 0), 0, axis),
            parts,
        )
        result = function(part, number)
        return result, result

    def join(first: Any, others: Any) -> Any:
        value = ops.concatenate([first[None], others], axis=0)
        value = ops.moveaxis(value, axis + 1, 1)
        rest = ops.shape(value)[2:]
        value = ops.reshape(value, (count * size, *rest))[:length]
        return ops.moveaxis(value, 0, axis)

    # `ops.map` would begin ten at a time. A scan does not, and has its outputs
    # in the form of what it carries: that of the first part.
    first, _ = step(None, 0)
    _, others = ops.scan(step, first, ops.arange(1, count))
    return keras.tree.map_structure(join, first, others)
