"""Vectors put into K slots, and how close a vector is to each slot."""

from typing import Any

from keras import ops

from kgpm.ops.gaussian import transpose
from kgpm.ops.parts import in_parts
from kgpm.ops.parts import part_size

# Up to so many slots, and vectors, all pairs of a batch are taken at once.
FEW_SLOTS = 1024

# exp of it is 0, and times 0 it is still a number.
IMPOSSIBLE = -1e9

# Of the largest square distance from the mean: below it vectors are equal. A
# float32 network gives the same image in another batch a vector so near.
_EQUAL = 1e-10


def square_distances(vectors: Any, others: Any) -> Any:
    """|v - o|^2 of all pairs: `[..., Q, C]` and `[..., K, C]` to `[..., Q, K]`.

    In float64, because the distance of near vectors is a difference of large
    squares; the result has the dtype of `vectors`.
    """
    left, right = ops.cast(vectors, "float64"), ops.cast(others, "float64")
    squares = (
        ops.sum(ops.square(left), axis=-1)[..., None]
        + ops.sum(ops.square(right), axis=-1)[..., None, :]
        - 2.0 * ops.matmul(left, transpose(right))
    )
    return ops.cast(ops.maximum(squares, 0.0), vectors.dtype)


def slot_log_shares(count: Any) -> Any:
    """ln(n_k / n), `[..., K]`; `IMPOSSIBLE` for an empty slot."""
    total = ops.sum(count, axis=-1, keepdims=True)
    share = count / ops.maximum(total, 1e-30)
    written = count > 0.0
    return ops.where(
        written, ops.log(ops.where(written, share, 1.0)), IMPOSSIBLE
    )


def slot_exponents(vectors: Any, mean: Any, count: Any, noise: float) -> Any:
    """ln n_k/n N(v; m_k, s^2 I) of each slot, up to the constant of N.

    Args:
        vectors: `[B, Q, C]`.
        mean: m, `[B, K, C]`.
        count: n, `[B, K]`, or `[B, Q, K]` where each vector has its own.
        noise: s.

    Returns:
        `[B, Q, K]`; below `IMPOSSIBLE` / 2 for an empty slot.
    """
    if len(count.shape) == 2:
        count = count[:, None]
    squares = square_distances(vectors, mean)
    return slot_log_shares(count) - squares / (2.0 * noise**2)


def fill_slots(
    vectors: Any, weights: Any, num_slots: int, num_steps: int
) -> tuple[Any, Any]:
    """Puts vectors into K slots, one each while there are enough slots.

    Where T <= K vector t is in slot t. Otherwise vectors share slots: K
    centres are taken farthest first, beginning with the vector that is
    farthest from the mean, followed by Lloyd steps. That depends on the set of
    vectors and not on their order, apart from ties. Equal vectors share one
    slot.

    Args:
        vectors: `[B, T, C]`.
        weights: `[B, T]`, 0 for an absent vector.
        num_slots: K.
        num_steps: Lloyd steps where slots are shared.

    Returns:
        The weighted mean of the vectors of each slot, `[B, K, C]`, and the sum
        of their weights, `[B, K]`; both 0 for an empty slot.
    """
    length = ops.shape(vectors)[1]

    def one_each() -> tuple[Any, Any]:
        batch, _, size = ops.shape(vectors)
        missing = num_slots - length
        if not isinstance(missing, int):
            # The branch that is not taken is traced, too.
            missing = ops.maximum(missing, 0)
        present = ops.where(weights[..., None] > 0.0, vectors, 0.0)
        empty = ops.zeros((batch, missing, size), vectors.dtype)
        rows = ops.concatenate([present, empty], axis=1)
        count = ops.concatenate([weights, empty[..., 0]], axis=1)
        return rows[:, :num_slots], count[:, :num_slots]

    def shared() -> tuple[Any, Any]:
        return _share_slots(vectors, weights, num_slots, num_steps)

    if isinstance(length, int):
        return one_each() if length <= num_slots else shared()
    mean, count = ops.cond(length <= num_slots, one_each, shared)
    # The number of slots is known, whichever branch is taken.
    return (
        ops.reshape(mean, (-1, num_slots, vectors.shape[2])),
        ops.reshape(count, (-1, num_slots)),
    )


def add_to_slots(
    vectors: Any, weights: Any, mean: Any, count: Any, num_steps: int
) -> tuple[Any, Any]:
    """Puts vectors beside those that slots hold, as long as there is room.

    A vector equal to what a slot holds goes there, another one to a slot that
    is empty. Where an episode has too few of these, its slots and the vectors
    are put together into K slots anew, as `fill_slots` does it, which takes K
    passes over all of them.

    Args:
        vectors: `[B, T, C]`.
        weights: `[B, T]`, 0 for an absent vector.
        mean: `[B, K, C]`.
        count: `[B, K]`, 0 for an empty slot.
        num_steps: as in `fill_slots`.

    Returns:
        The mean of each slot and the sum of its weights, as `fill_slots` has
        them.
    """
    num_slots = mean.shape[1]
    filled, present = count > 0.0, weights > 0.0
    least = _EQUAL * _spread(vectors, weights, mean, count)[:, None]
    slot, squares = nearest_slots(vectors, mean, filled)
    known = squares <= least
    first = _first_equal(vectors, present, least)
    # Those that need a slot of their own, and which of the empty ones.
    place = ops.arange(ops.shape(vectors)[1])
    fresh = ops.logical_and(
        ops.logical_and(present, ops.logical_not(known)), first == place
    )
    rank = ops.cumsum(ops.cast(fresh, "int32"), axis=1) - 1
    index = ops.arange(num_slots)
    empty_first = ops.argsort(ops.where(filled, num_slots + index, index))
    own = ops.take_along_axis(
        empty_first, ops.clip(rank, 0, num_slots - 1), axis=1
    )
    slot = ops.where(known, slot, ops.take_along_axis(own, first, axis=1))
    needed = ops.sum(ops.cast(fresh, "int32"), axis=1)
    room = num_slots - ops.sum(ops.cast(filled, "int32"), axis=1)
    fits = needed <= room

    def placed() -> tuple[Any, Any]:
        total, number = slot_sums(vectors, weights, slot, num_slots)
        number = number + count
        total = total + count[..., None] * mean
        return total / ops.maximum(number, 1e-30)[..., None], number

    def shared() -> tuple[Any, Any]:
        both = _share_slots(
            ops.concatenate([mean, vectors], axis=1),
            ops.concatenate([count, weights], axis=1),
            num_slots,
            num_steps,
        )
        beside = placed()
        return (
            ops.where(fits[:, None, None], beside[0], both[0]),
            ops.where(fits[:, None], beside[1], both[1]),
        )

    return ops.cond(ops.all(fits), placed, shared)


def nearest_slots(vectors: Any, mean: Any, filled: Any) -> tuple[Any, Any]:
    """The nearest of the slots that hold something, and its square distance.

    Of as many vectors at a time as bounded memory allows.

    Args:
        vectors: `[B, T, C]`.
        mean: `[B, K, C]`.
        filled: booleans, `[B, K]`.

    Returns:
        `[B, T]` each; slot 0, infinitely far, where none is filled.
    """

    def nearest(part: Any, _: Any) -> tuple[Any, Any]:
        squares = square_distances(part, mean)
        squares = ops.where(filled[:, None], squares, float("inf"))
        return ops.argmin(squares, axis=-1), ops.min(squares, axis=-1)

    num_slots, length = mean.shape[1], vectors.shape[1]
    if num_slots <= FEW_SLOTS and length is not None and length <= FEW_SLOTS:
        return nearest(vectors, 0)
    size = part_size(num_slots, ops.shape(vectors)[0])
    return in_parts(nearest, vectors, size, axis=1)


def slot_sums(
    vectors: Any, weights: Any, slot: Any, num_slots: int
) -> tuple[Any, Any]:
    """Weighted sums of the vectors `[B, T, C]` of each slot, and of weights.

    Args:
        vectors: `[B, T, C]`.
        weights: `[B, T]`.
        slot: of each vector, `[B, T]`.
        num_slots: K.

    Returns:
        `[B, K, C]` and `[B, K]`.
    """
    batch, _, size = ops.shape(vectors)
    both = ops.concatenate(
        [weights[..., None], weights[..., None] * vectors], axis=-1
    )
    slot = ops.cast(slot, "int32") + num_slots * ops.arange(batch)[:, None]
    sums = ops.segment_sum(
        ops.reshape(both, (-1, size + 1)),
        ops.reshape(slot, (-1,)),
        batch * num_slots,
    )
    sums = ops.reshape(sums, (-1, num_slots, size + 1))
    return sums[..., 1:], sums[..., 0]


def _share_slots(
    vectors: Any, weights: Any, num_slots: int, num_steps: int
) -> tuple[Any, Any]:
    # Which slot a vector goes to is a choice, and has no gradient.
    constant = ops.stop_gradient(vectors)
    centres, used = _farthest_first(constant, weights, num_slots)
    slot, _ = nearest_slots(constant, centres, used)
    for _ in range(num_steps):
        mean, count = _means(constant, weights, slot, num_slots)
        centres = ops.where(count[..., None] > 0.0, mean, centres)
        slot, _ = nearest_slots(constant, centres, used)
    return _means(vectors, weights, slot, num_slots)


def _means(
    vectors: Any, weights: Any, slot: Any, num_slots: int
) -> tuple[Any, Any]:
    total, count = slot_sums(vectors, weights, slot, num_slots)
    return total / ops.maximum(count, 1e-30)[..., None], count


def _farthest_first(
    vectors: Any, weights: Any, num_slots: int
) -> tuple[Any, Any]:
    """K of the vectors, each the farthest from those before it.

    Returns:
        `[B, K, C]`, and which of them are vectors, `[B, K]`: fewer than K
        where the rest are equal to these.
    """
    absent = weights <= 0.0
    middle = _middle(vectors, weights)
    doubles = ops.cast(vectors, "float64")
    squares = ops.sum(ops.square(doubles), axis=-1)

    def distances(centre: Any) -> Any:
        """From a centre `[B, 1, C]`, as `square_distances` has them."""
        across = ops.matmul(doubles, transpose(centre))[..., 0]
        centre = ops.sum(ops.square(centre), axis=-1)
        here = ops.maximum(squares + centre - 2.0 * across, 0.0)
        return ops.where(absent, -1.0, ops.cast(here, vectors.dtype))

    start = distances(ops.cast(middle, "float64")[:, None])
    least = _EQUAL * ops.maximum(ops.max(start, axis=1), 0.0)

    def take(index: Any, state: tuple) -> tuple:
        nearest, chosen, used = state
        farthest = ops.cast(ops.argmax(nearest, axis=1), "int32")[:, None]
        place = ops.arange(num_slots) == index
        chosen = ops.where(place, farthest, chosen)
        differs = (ops.max(nearest, axis=1) > least)[:, None]
        used = ops.logical_or(used, ops.logical_and(place, differs))
        here = distances(
            ops.take_along_axis(doubles, farthest[..., None], axis=1)
        )
        # The first centre is the only one to be compared with.
        nearest = ops.where(index == 0, here, ops.minimum(nearest, here))
        return nearest, chosen, used

    batch = ops.shape(vectors)[0]
    chosen = ops.zeros((batch, num_slots), "int32")
    used = ops.zeros((batch, num_slots), "bool")
    _, chosen, used = ops.fori_loop(0, num_slots, take, (start, chosen, used))
    return ops.take_along_axis(vectors, chosen[..., None], axis=1), used


def _middle(vectors: Any, weights: Any) -> Any:
    total = ops.maximum(ops.sum(weights, axis=1), 1e-30)
    return ops.sum(weights[..., None] * vectors, axis=1) / total[..., None]


def _spread(vectors: Any, weights: Any, mean: Any, count: Any) -> Any:
    """Largest square distance from the mean of vectors and slots, `[B]`."""
    number = ops.sum(weights, axis=1), ops.sum(count, axis=1)
    share = (number[1] / ops.maximum(sum(number), 1e-30))[:, None]
    middle = share * _middle(mean, count)
    middle = middle + (1.0 - share) * _middle(vectors, weights)

    def largest(values: Any, parts: Any) -> Any:
        squares = square_distances(values, middle[:, None])[..., 0]
        return ops.max(ops.where(parts > 0.0, squares, 0.0), axis=1)

    return ops.maximum(largest(vectors, weights), largest(mean, count))


def _first_equal(vectors: Any, present: Any, least: Any) -> Any:
    """The first of the vectors that each is equal to, `[B, T]`."""
    length = ops.shape(vectors)[1]

    def first(part: Any, _: Any) -> Any:
        equal = square_distances(part, vectors) <= least[..., None]
        equal = ops.logical_and(equal, present[:, None])
        return ops.cast(ops.argmax(equal, axis=-1), "int32")

    size = part_size(length, ops.shape(vectors)[0])
    return in_parts(first, vectors, size, axis=1)
