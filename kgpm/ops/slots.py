"""Vectors put into K slots, and how close a vector is to each slot."""

from typing import Any

from keras import ops

from kgpm.ops.gaussian import transpose

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


def _share_slots(
    vectors: Any, weights: Any, num_slots: int, num_steps: int
) -> tuple[Any, Any]:
    # Which slot a vector goes to is a choice, and has no gradient.
    constant = ops.stop_gradient(vectors)
    centres, used = _farthest_first(constant, weights, num_slots)
    members = _members(constant, weights, centres, used)
    for _ in range(num_steps):
        mean, count = _means(constant, members)
        centres = ops.where(count[..., None] > 0.0, mean, centres)
        members = _members(constant, weights, centres, used)
    return _means(vectors, members)


def _farthest_first(
    vectors: Any, weights: Any, num_slots: int
) -> tuple[Any, Any]:
    """K of the vectors, each the farthest from those before it.

    Returns:
        `[B, K, C]`, and which of them are vectors, `[B, K]`: fewer than K
        where the rest are equal to these.
    """
    absent = weights <= 0.0
    total = ops.maximum(ops.sum(weights, axis=1), 1e-30)
    middle = ops.sum(weights[..., None] * vectors, axis=1) / total[..., None]
    length = ops.shape(vectors)[1]

    def distances(centre: Any) -> Any:
        squares = square_distances(vectors, centre[:, None])[..., 0]
        return ops.where(absent, -1.0, squares)

    start = distances(middle)
    least = _EQUAL * ops.maximum(ops.max(start, axis=1), 0.0)

    def take(index: Any, state: tuple) -> tuple:
        nearest, centres, used = state
        chosen = ops.one_hot(ops.argmax(nearest, axis=1), length)
        chosen = ops.cast(chosen, vectors.dtype)
        centre = ops.einsum("bt,btc->bc", chosen, vectors)
        place = ops.arange(num_slots) == index
        differs = (ops.max(nearest, axis=1) > least)[:, None]
        used = ops.logical_or(used, ops.logical_and(place, differs))
        place = ops.cast(place, vectors.dtype)
        centres = centres + place[:, None] * centre[:, None]
        here = distances(centre)
        # The first centre is the only one to be compared with.
        nearest = ops.where(index == 0, here, ops.minimum(nearest, here))
        return nearest, centres, used

    batch, _, size = ops.shape(vectors)
    centres = ops.zeros((batch, num_slots, size), vectors.dtype)
    used = ops.zeros((batch, num_slots), "bool")
    return ops.fori_loop(0, num_slots, take, (start, centres, used))[1:]


def _members(vectors: Any, weights: Any, centres: Any, used: Any) -> Any:
    """Weights of vectors in the slot of their nearest centre, `[B, T, K]`."""
    squares = square_distances(vectors, centres)
    squares = ops.where(used[:, None], squares, float("inf"))
    nearest = ops.argmin(squares, axis=-1)
    member = ops.cast(ops.one_hot(nearest, centres.shape[1]), vectors.dtype)
    return member * weights[..., None]


def _means(vectors: Any, members: Any) -> tuple[Any, Any]:
    count = ops.sum(members, axis=1)
    total = ops.matmul(transpose(members), vectors)
    return total / ops.maximum(count, 1e-30)[..., None], count
