"""Sequential Bayesian writing of a matrix-normal memory."""

from typing import Any

from keras import ops

from kgpm.ops.gaussian import symmetrize
from kgpm.ops.linear_algebra import add_diagonal
from kgpm.ops.linear_algebra import cholesky_solve
from kgpm.ops.linear_algebra import transpose

# Added to the row covariance that `kalman_write` returns, so that float32
# rounding of many down-dates cannot make it indefinite. It belongs to the
# posterior: sampling and divergence both see it.
COVARIANCE_JITTER = 1e-6


def ridge_address(codes: Any, mean: Any, variance: Any) -> Any:
    """`w = z R^T (R R^T + s^2 I)^-1`: the posterior mean of w given z and R.

    Args:
        codes: z, `[..., Q, C]`.
        mean: R, `[..., K, C]`.
        variance: s^2, a number or scalar tensor.

    Returns:
        `[..., Q, K]`.
    """
    gram = add_diagonal(ops.matmul(mean, transpose(mean)), variance)
    right = ops.matmul(mean, transpose(codes))
    return transpose(cholesky_solve(ops.cholesky(gram), right))


def kalman_write(
    codes: Any, weights: Any, mean: Any, covariance: Any, variance: Any
) -> tuple[Any, Any]:
    """Writes codes one after the other (Wu et al. 2018b, section 3.2).

    Each code z is addressed by `ridge_address` in the memory so far, then the
    linear-Gaussian observation `z = w M + noise` updates it:
    `u = U w`, `v = w^T u + s^2`, `R += u (z - w R) / v`, `U -= u u^T / v`.
    The result depends on the order of the codes.

    Args:
        codes: `[B, T, C]`.
        weights: `[B, T]`, 0 for a code that is absent, 1 for one to write.
        mean: prior R0, `[B, K, C]`.
        covariance: prior U0, `[B, K, K]`.
        variance: observation variance s^2, positive.

    Returns:
        Posterior mean `[B, K, C]` and row covariance `[B, K, K]`.
    """

    def step(state: tuple, inputs: Any) -> tuple:
        mean, covariance = state
        code, weight = inputs[:, :-1], inputs[:, -1]
        address = ridge_address(code[:, None], mean, variance)
        u = ops.matmul(covariance, transpose(address))
        v = ops.matmul(address, u) + variance
        gain = weight[:, None, None] * u / v
        error = code[:, None] - ops.matmul(address, mean)
        mean = mean + ops.matmul(gain, error)
        covariance = covariance - ops.matmul(gain, transpose(u))
        return (mean, symmetrize(covariance)), None

    # The scan runs over the leading axis, the only time-major moment. Of an
    # unknown length Keras scans one tensor, but not a pair.
    inputs = ops.concatenate([codes, weights[..., None]], axis=-1)
    inputs = ops.swapaxes(inputs, 0, 1)
    (mean, covariance), _ = ops.scan(step, (mean, covariance), inputs)
    return mean, add_diagonal(covariance, COVARIANCE_JITTER)
