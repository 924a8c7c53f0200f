"""The posterior of w in z = w A + e, with standard normal w and e."""

from typing import Any
from typing import NamedTuple

from keras import ops

from kgpm.ops.gaussian import log_determinant
from kgpm.ops.gaussian import transpose
from kgpm.ops.ridge import gram_cholesky


class LinearPosterior(NamedTuple):
    """N(mean, P^-1) with the precision `P = I + A A^T`, shared by all z.

    Attributes:
        mean: `z A^T P^-1`, `[..., Q, K]`.
        spread: draws from N(0, P^-1), `[..., Q, K]`.
        log_precision: ln|P|, `[...]`.
        trace: of P^-1, `[...]`.
    """

    mean: Any
    spread: Any
    log_precision: Any
    trace: Any


def linear_posterior(codes: Any, matrix: Any, noise: Any) -> LinearPosterior:
    """The posterior of each code, and a draw from it.

    Its gradient is written out: that of a Cholesky factor, step by step, takes
    four times as long. All are of one dtype.

    Args:
        codes: z, `[..., Q, C]`.
        matrix: A, `[..., K, C]`.
        noise: standard normal numbers behind the draw, `[..., Q, K]`.
    """

    @ops.custom_gradient
    def posterior(codes: Any, matrix: Any, noise: Any) -> tuple[Any, Any]:
        # P = L L^T.
        factor = gram_cholesky(matrix, 1.0)
        upper = transpose(factor)
        half = ops.solve_triangular(
            factor, ops.matmul(matrix, transpose(codes)), lower=True
        )
        both = ops.concatenate([half, transpose(noise)], axis=-1)
        both = transpose(ops.solve_triangular(upper, both, lower=False))
        mean, spread = ops.split(both, 2, axis=-2)
        identity = ops.eye(matrix.shape[-2], dtype=matrix.dtype)
        inverse = ops.solve_triangular(
            factor,
            ops.broadcast_to(identity, ops.shape(factor)),
            lower=True,
        )
        trace = ops.sum(ops.square(inverse), axis=(-2, -1))

        def gradient(
            of_mean: Any, of_spread: Any, of_log: Any, of_trace: Any
        ) -> tuple[Any, Any, Any]:
            both = ops.concatenate([of_mean, of_spread], axis=-2)
            both = ops.solve_triangular(factor, transpose(both), lower=True)
            of_half, of_noise = ops.split(both, 2, axis=-1)
            rows = ops.solve_triangular(factor, matrix, lower=True)
            # That of P is L^-T S L^-1 / 2. Of a draw L^-T e, S is made of the
            # lower triangle of -e e'^T (Murray, arXiv:1602.07527, section 3).
            drawn = transpose(ops.matmul(of_noise, noise))
            outer = ops.matmul(of_half, transpose(half))
            squares = ops.matmul(inverse, transpose(inverse))
            middle = 2.0 * (
                of_log[..., None, None] * identity
                - of_trace[..., None, None] * squares
            ) - (
                outer
                + transpose(outer)
                + ops.tril(drawn)
                + transpose(ops.tril(drawn, -1))
            )
            of_matrix = ops.matmul(of_half, codes) + ops.matmul(middle, rows)
            return (
                ops.matmul(transpose(of_half), rows),
                ops.solve_triangular(upper, of_matrix, lower=False),
                transpose(of_noise),
            )

        return (mean, spread, log_determinant(factor), trace), gradient

    return LinearPosterior(*posterior(codes, matrix, noise))
