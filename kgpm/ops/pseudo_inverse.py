"""Moore-Penrose inverses by five solvers behind one interface.

All of them act on each singular value sigma_i of A as a filter f:
`sigma_i(A^+ A) = f(sigma_i)`, where the exact inverse has f = 1.

- `ridge`: f = s^2 / (s^2 + lambda), one Cholesky factor of the smaller Gram
  matrix in float64. The default: exact to solver precision, the cheapest. The
  inverse of a float32 matrix of more than 128 rows is taken in float32; see
  `kgpm.ops.ridge`.
- `newton`: Ben-Israel and Cohen 1966 (Newton-Schulz),
  `X <- X (2I - A X)`, f = 1 - (1 - alpha s^2)^(2^k) after k steps.
- `hyperpower`: order three, `X <- X (I + R + R^2)` with R = I - A X,
  f = 1 - (1 - alpha s^2)^(3^k).
- `svd`: singular values below a cut-off dropped. For tests: slow in batches,
  and its gradient is singular where singular values coincide.
- `reference`: Newton-Schulz with the constant scale 5e-4 and seven steps of
  the published GPM code. A low-pass filter that diverges once
  sigma_1^2 >= 4000; only to reproduce that code.

Write and read a memory with one and the same solver: a memory trained under
a truncated inverse cannot be read by an exact one.
"""

from typing import Any

from keras import ops

from kgpm.errors import UserError
from kgpm.ops.gaussian import transpose
from kgpm.ops.ridge import is_large
from kgpm.ops.ridge import is_tall
from kgpm.ops.ridge import ridge_inverse
from kgpm.ops.ridge import ridge_least_squares
from kgpm.ops.ridge import times_large_inverse

# Iterations when the caller names none: enough for a condition number of 30
# at relative error 1e-3 with the safe scale.
DEFAULT_ITERATIONS = {
    "ridge": 0,
    "newton": 15,
    "hyperpower": 10,
    "svd": 0,
    "reference": 7,
}
SOLVERS = tuple(DEFAULT_ITERATIONS)

REFERENCE_SCALE = 5e-4
# Share of the trace of statistics below which an eigenvalue is rounding. A
# float32 code that is taken out again differs by 1e-7 from the one that was
# put in, and leaves twice that, while codes that tell images apart are above
# 1e-4 in trained models.
ROUNDING_OF_STATISTICS = 1e-6


def pseudo_inverse(
    matrix: Any,
    solver: str = "ridge",
    num_iterations: int | None = None,
    ridge: Any = None,
) -> Any:
    """Pseudo-inverse `A^+` of a batch of matrices.

    Args:
        matrix: A, `[..., m, n]`. A zero matrix has the inverse zero.
        solver: one of `SOLVERS`.
        num_iterations: steps of an iterative solver, by default
            `DEFAULT_ITERATIONS[solver]`.
        ridge: absolute ridge lambda of `solver="ridge"`, f as above. By
            default a small share of ||A||_F^2, by the precision of A, and
            two Newton steps: f = 1 - (lambda / (s^2 + lambda))^4.

    Returns:
        A^+, `[..., n, m]`, in the dtype of `matrix`.

    Raises:
        UserError: unknown solver.
    """
    if is_tall(matrix):
        flipped = pseudo_inverse(
            transpose(matrix), solver, num_iterations, ridge
        )
        return transpose(flipped)
    if solver == "ridge":
        return ridge_inverse(matrix, ridge)
    if solver == "svd":
        return _svd_inverse(matrix)
    check_solver(solver)
    if num_iterations is None:
        num_iterations = DEFAULT_ITERATIONS[solver]
    if solver == "reference":
        inverse = REFERENCE_SCALE * transpose(matrix)
    else:
        inverse = _safe_scale(matrix)[..., None, None] * transpose(matrix)
    order_three = solver == "hyperpower"
    identity = ops.eye(matrix.shape[-2], dtype=matrix.dtype)
    for _ in range(num_iterations):
        residual = identity - ops.matmul(matrix, inverse)
        if order_three:
            residual = residual + ops.matmul(residual, residual)
        inverse = inverse + ops.matmul(inverse, residual)
    return inverse


def least_squares(
    matrix: Any,
    right: Any,
    solver: str = "ridge",
    num_iterations: int | None = None,
) -> Any:
    """`A^+ B`, the minimiser of |A X - B| of least norm.

    Args:
        matrix: A, `[..., m, n]`.
        right: B, `[..., m, r]`.
        solver: one of `SOLVERS`.
        num_iterations: as in `pseudo_inverse`.

    Returns:
        X, `[..., n, r]`, in the dtype of `right`.
    """
    if solver != "ridge":
        inverse = pseudo_inverse(matrix, solver, num_iterations)
        return ops.matmul(inverse, right)
    return ridge_least_squares(matrix, right)


def times_pseudo_inverse(
    left: Any,
    matrix: Any,
    solver: str = "ridge",
    num_iterations: int | None = None,
) -> Any:
    """`B A^+`, without A^+ where B has few rows and A is large.

    Args:
        left: B, `[..., q, n]`.
        matrix: A, `[..., m, n]`.
        solver: one of `SOLVERS`.
        num_iterations: as in `pseudo_inverse`.

    Returns:
        `[..., q, m]`, in the dtype of `matrix`.
    """

    def by_inverse() -> Any:
        inverse = pseudo_inverse(matrix, solver, num_iterations)
        return ops.matmul(left, inverse)

    if solver != "ridge" or is_tall(matrix) or not is_large(matrix):
        return by_inverse()
    # An inverse takes as long as solves of half as many rows as it has.
    few = ops.shape(left)[-2] <= matrix.shape[-2] // 2
    return ops.cond(few, lambda: times_large_inverse(left, matrix), by_inverse)


def least_squares_from_statistics(
    statistics: Any,
    inverse: Any,
    solver: str = "ridge",
    num_iterations: int | None = None,
) -> Any:
    """`(Z P)^+ Z` from `S = Z^T Z` alone: `(P^T S P)^+ P^T S`.

    Args:
        statistics: S, `[..., C, C]`, float64.
        inverse: P, `[C, K]` or `[..., C, K]`, float64.
        solver: one of `SOLVERS`.
        num_iterations: as in `pseudo_inverse`.

    Returns:
        `[..., K, C]`, what `least_squares(Z P, Z)` gives by that solver.
    """
    right = ops.matmul(transpose(inverse), _without_rounding(statistics))
    # The square root of (Z P)^T (Z P) stands in for Z P, so that the solver's
    # filter acts on the singular values of Z P and not on their squares.
    values, vectors = ops.eigh(ops.matmul(right, inverse))
    floor = 1e-12 * ops.max(values, axis=-1, keepdims=True) + 1e-30
    keep = values > floor
    root = ops.sqrt(ops.where(keep, values, 0.0))
    scale = ops.where(keep, 1.0 / ops.where(keep, root, 1.0), 0.0)
    stand_in = root[..., None] * transpose(vectors)
    target = ops.matmul(scale[..., None] * transpose(vectors), right)
    return least_squares(stand_in, target, solver, num_iterations)


def _without_rounding(statistics: Any) -> Any:
    """Statistics without the directions that hold nothing but rounding.

    A least-squares fit would blow them up to what a code holds.
    """
    values, vectors = ops.eigh(statistics)
    trace = ops.sum(ops.diagonal(statistics, axis1=-2, axis2=-1), axis=-1)
    keep = values > ROUNDING_OF_STATISTICS * trace[..., None]
    values = ops.where(keep, values, 0.0)
    return ops.matmul(vectors * values[..., None, :], transpose(vectors))


def check_solver(solver: str) -> None:
    """Raises a `UserError` unless `solver` is one of `SOLVERS`."""
    if solver not in SOLVERS:
        raise UserError(
            f"Expected solver to be one of {', '.join(SOLVERS)}, "
            f"received {solver!r}."
        )


def _safe_scale(wide: Any) -> Any:
    """1 / ||A A^T||_inf, which is at most 1 / sigma_1^2."""
    gram = ops.abs(ops.matmul(wide, transpose(wide)))
    bound = ops.max(ops.sum(gram, axis=-1), axis=-1)
    return ops.stop_gradient(1.0 / ops.maximum(bound, 1e-30))


def _svd_inverse(matrix: Any) -> Any:
    u, s, vt = ops.svd(matrix, full_matrices=False)
    # The cut-off of numpy.linalg.pinv's documentation: eps * max(m, n).
    epsilon = 1.2e-7 if matrix.dtype == "float32" else 2.2e-16
    rows, columns = ops.shape(matrix)[-2:]
    size = ops.cast(ops.maximum(rows, columns), s.dtype)
    keep = s > epsilon * size * ops.max(s, axis=-1, keepdims=True)
    inverse = ops.where(keep, 1.0 / ops.where(keep, s, 1.0), 0.0)
    return ops.matmul(transpose(vt) * inverse[..., None, :], transpose(u))
