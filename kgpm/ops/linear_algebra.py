"""Small dense solves that every memory needs, batched over leading axes."""

from typing import Any

from keras import ops


def transpose(matrix: Any) -> Any:
    """Swaps the last two axes: `[..., m, n]` to `[..., n, m]`."""
    return ops.swapaxes(matrix, -1, -2)


def cholesky_solve(factor: Any, right: Any) -> Any:
    """Solves `L L^T x = b`.

    Args:
        factor: lower Cholesky factor L, `[..., m, m]`.
        right: b, `[..., m, r]`, same leading axes as `factor`.

    Returns:
        x, `[..., m, r]`.
    """
    half = ops.solve_triangular(factor, right, lower=True)
    return ops.solve_triangular(transpose(factor), half, lower=False)


def add_diagonal(matrix: Any, value: Any) -> Any:
    """Adds `value` (a scalar or `[...]`) to the diagonal of `[..., m, m]`."""
    identity = ops.eye(matrix.shape[-1], dtype=matrix.dtype)
    value = ops.convert_to_tensor(value, dtype=matrix.dtype)
    return matrix + value[..., None, None] * identity


def log_determinant(factor: Any) -> Any:
    """ln|L L^T| of a Cholesky factor: `[..., m, m]` to `[...]`."""
    diagonal = ops.diagonal(factor, axis1=-2, axis2=-1)
    return 2.0 * ops.sum(ops.log(diagonal), axis=-1)
