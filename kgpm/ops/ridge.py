"""Ridge inverses and least squares by one Cholesky factor of a Gram matrix.

With `A A^T + lambda I = L L^T` the rows of `Q = L^-1 A` are no longer than
one. Whatever is large is a product with Q, which loses no digits, and only
triangular solves see the condition of A.
"""

from typing import Any

import keras
from keras import ops

from kgpm.ops.gaussian import add_diagonal
from kgpm.ops.gaussian import cholesky_solve
from kgpm.ops.gaussian import transpose

# Ridge relative to the squared Frobenius norm, so that neither the side of
# the Gram matrix nor rows of padding change it. Safe because the Gram matrix
# is formed in float64: its rounding is 1e-16 of the same norm.
RELATIVE_RIDGE = 1e-9
# An inverse of a float32 matrix of less than full rank, such as a memory of
# fewer images than rows, must not invert that matrix's own rounding, 6e-8 of
# its norm: a larger ridge, whose bias on the directions that count each
# Newton step squares away.
RELATIVE_RIDGE_OF_FLOAT32 = 1e-5
POLISH_STEPS = 2
# The smallest normal float32 keeps the factor of a zero matrix finite, and
# this one its gradient in float32.
_LEAST_RIDGE = 1.2e-38
_LEAST_RIDGE_OF_FLOAT32 = 1e-30

# Rows up to which TensorFlow's own Cholesky factor is as fast as one by blocks,
# and a float64 inverse costs little beside a network.
_BLOCK = 128


def gram_cholesky(rows: Any, shift: Any) -> Any:
    """Cholesky factor L of `A A^T + shift I`, by blocks of rows.

    TensorFlow takes the factor of one matrix on one thread, at a tenth of the
    rate of its products; here all but blocks of 128 rows are products. Half of
    the Gram matrix is never formed.

    Args:
        rows: A, `[..., m, n]` with a known m for blocks.
        shift: a scalar or `[...]`.

    Returns:
        L, `[..., m, m]`, lower.
    """
    return _factor(rows, shift, rows[..., :0])


def whiten(rows: Any, shift: Any) -> tuple[Any, Any]:
    """`L` as `gram_cholesky` has it, and `Q = L^-1 A`, `[..., m, n]`."""
    factor = gram_cholesky(rows, shift)
    return factor, ops.solve_triangular(factor, rows, lower=True)


def is_tall(matrix: Any) -> bool:
    """More rows than columns; an unknown number of rows counts as many."""
    rows, columns = matrix.shape[-2], matrix.shape[-1]
    if rows is None or columns is None:
        return rows is None
    return rows > columns


def is_large(wide: Any) -> bool:
    """Whether the inverse of a wide matrix is taken in float32."""
    rows = wide.shape[-2]
    is_single = keras.backend.standardize_dtype(wide.dtype) == "float32"
    return is_single and rows is not None and rows > _BLOCK


def ridge_inverse(wide: Any, ridge: Any = None) -> Any:
    """`A^T (A A^T + lambda I)^-1`, polished if the ridge is ours.

    Args:
        wide: A, `[..., m, n]`, m <= n.
        ridge: lambda; by default as `pseudo_inverse` has it.

    Returns:
        `[..., n, m]`, in the dtype of `wide`.
    """
    if ridge is None and is_large(wide):
        return _large_inverse(wide)
    dtype = keras.backend.standardize_dtype(wide.dtype)
    wide = ops.cast(wide, "float64")
    steps = 0
    if ridge is None:
        steps = POLISH_STEPS
        is_double = dtype == "float64"
        share = RELATIVE_RIDGE if is_double else RELATIVE_RIDGE_OF_FLOAT32
        ridge = share * _square_norm(wide)
    # Newton's X <- X (2I - A X) keeps X = A^T Y: Y alone is iterated, on the
    # small side.
    gram = ops.matmul(wide, transpose(wide))
    ridge = ops.cast(ridge, wide.dtype) + _LEAST_RIDGE
    factor = ops.cholesky(add_diagonal(gram, ridge))
    identity = ops.eye(gram.shape[-1], dtype=gram.dtype)
    identity = ops.broadcast_to(identity, ops.shape(gram))
    inverse = cholesky_solve(factor, identity)
    for _ in range(steps):
        product = ops.matmul(gram, inverse)
        inverse = 2.0 * inverse - ops.matmul(inverse, product)
    return ops.cast(ops.matmul(transpose(wide), inverse), dtype)


def times_large_inverse(left: Any, wide: Any) -> Any:
    """`B A^+` with the default ridge, for few rows B of a large A.

    Args:
        left: B, `[..., q, n]`.
        wide: A, `[..., m, n]`, `is_large`.

    Returns:
        `[..., q, m]`, what `matmul(left, ridge_inverse(wide))` is.
    """
    factor, rows = whiten(wide, _ridge_of_float32(wide))
    first = ops.matmul(rows, transpose(left))
    result = first
    for _ in range(2**POLISH_STEPS - 1):
        # (I + N + N^2 + N^3) B with N = I - Q Q^T, as in `_large_inverse`.
        seen = ops.matmul(rows, ops.matmul(transpose(rows), result))
        result = first + result - seen
    return transpose(
        ops.solve_triangular(transpose(factor), result, lower=False)
    )


def ridge_least_squares(matrix: Any, right: Any) -> Any:
    """`(A^T A + lambda I)^-1 A^T B`, as `least_squares` has it.

    The factor and Q are taken in float64 and what follows in the precision of
    B, since a length of one at most keeps its digits: of a memory of low rank
    float32 products would otherwise invert their own rounding. The gradient is
    written out, in products with Q as well.
    """
    rows, columns = ops.shape(matrix)[-2:]
    # The Gram matrix of the smaller side alone has full rank.
    return ops.cond(
        rows > columns,
        lambda: _least_squares(matrix, right, True),
        lambda: _least_squares(matrix, right, False),
    )


def _least_squares(matrix: Any, right: Any, tall: bool) -> Any:
    dtype = keras.backend.standardize_dtype(right.dtype)
    dtype_of_matrix = keras.backend.standardize_dtype(matrix.dtype)

    @ops.custom_gradient
    def solve(matrix: Any, right: Any) -> tuple[Any, Any]:
        wide = ops.cast(transpose(matrix) if tall else matrix, "float64")
        ridge = RELATIVE_RIDGE * _square_norm(wide) + _LEAST_RIDGE
        exact, rows = whiten(wide, ridge)
        factor, rows = ops.cast(exact, dtype), ops.cast(rows, dtype)
        upper = transpose(factor)
        if tall:
            # X = L^-T Q B.
            half = ops.matmul(rows, right)
            result = ops.solve_triangular(upper, half, lower=False)
        else:
            # X = Q^T L^-1 B.
            half = ops.solve_triangular(
                exact, ops.cast(right, "float64"), lower=True
            )
            half = ops.cast(half, dtype)
            result = ops.matmul(transpose(rows), half)

        def gradient(upstream: Any) -> tuple[Any, Any]:
            # Of U = (A^T A + lambda I)^-1 V or (A A^T + lambda I)^-1 A V the
            # part V' before L^-T.
            if tall:
                back = ops.solve_triangular(factor, upstream, lower=True)
                of_matrix = ops.matmul(back, transpose(right))
                of_right = ops.matmul(transpose(rows), back)
            else:
                back = ops.matmul(rows, upstream)
                of_matrix = ops.matmul(half, transpose(upstream))
                of_right = ops.solve_triangular(upper, back, lower=False)
            cross = ops.matmul(back, transpose(half))
            of_matrix = of_matrix - ops.matmul(cross + transpose(cross), rows)
            of_matrix = ops.solve_triangular(upper, of_matrix, lower=False)
            # The ridge grows with A.
            slope = ops.solve_triangular(upper, cross, lower=False)
            slope = ops.solve_triangular(upper, transpose(slope), lower=False)
            slope = ops.sum(ops.diagonal(slope, axis1=-2, axis2=-1), axis=-1)
            of_matrix = of_matrix - (
                2.0 * RELATIVE_RIDGE * slope[..., None, None]
            ) * ops.cast(wide, dtype)
            if tall:
                of_matrix = transpose(of_matrix)
            return ops.cast(of_matrix, dtype_of_matrix), of_right

        return result, gradient

    return solve(matrix, right)


def _factor(rows: Any, shift: Any, done: Any) -> Any:
    """Factor of these rows; `done` are their columns of L to the left."""
    size = rows.shape[-2]
    if size is None or size <= _BLOCK:
        return ops.cholesky(add_diagonal(_remaining(rows, done), shift))
    half = size // 2
    first = _factor(rows[..., :half, :], shift, done[..., :half, :])
    # Above and below the diagonal blocks.
    across = ops.solve_triangular(
        first, _remaining(rows, done, half), lower=True
    )
    below = transpose(across)
    done = ops.concatenate([done[..., half:, :], below], axis=-1)
    second = _factor(rows[..., half:, :], shift, done)
    upper = ops.concatenate([first, ops.zeros_like(across)], axis=-1)
    lower = ops.concatenate([below, second], axis=-1)
    return ops.concatenate([upper, lower], axis=-2)


def _remaining(rows: Any, done: Any, half: int | None = None) -> Any:
    """What is left of the Gram matrix, or of its upper right block."""
    split = slice(None), slice(None)
    if half is not None:
        split = slice(None, half), slice(half, None)
    (left, right), (left_done, right_done) = (
        [each[..., part, :] for part in split] for each in (rows, done)
    )
    gram = ops.matmul(left, transpose(right))
    return gram - ops.matmul(left_done, transpose(right_done))


def _large_inverse(wide: Any) -> Any:
    """The default inverse in float32.

    With N = I - Q Q^T, which is `lambda L^-1 L^-T`, the polished inverse is
    `Q^T (I + N + N^2 + N^3) L^-1`. N is formed from Q, and so holds the
    rounding of the factor as well, which its powers take away.
    """
    factor, rows = whiten(wide, _ridge_of_float32(wide))
    identity = ops.eye(wide.shape[-2], dtype=wide.dtype)
    rest = identity - ops.matmul(rows, transpose(rows))
    series = ops.matmul(identity + rest, identity + ops.matmul(rest, rest))
    inverse = ops.solve_triangular(
        transpose(factor), ops.matmul(series, rows), lower=False
    )
    return transpose(inverse)


def _ridge_of_float32(wide: Any) -> Any:
    share = RELATIVE_RIDGE_OF_FLOAT32 * _square_norm(wide)
    return share + _LEAST_RIDGE_OF_FLOAT32


def _square_norm(matrix: Any) -> Any:
    return ops.sum(ops.square(matrix), axis=(-2, -1))
