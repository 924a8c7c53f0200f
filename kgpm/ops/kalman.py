"""Bayesian writing of a matrix-normal memory.

Everywhere a code is a noisy linear observation `z = w M + N(0, s^2 I)` of the
memory `M ~ MN(R, U, I)`, whose posterior stays matrix normal.
"""

from typing import Any

from keras import ops

from kgpm.ops.gaussian import add_diagonal
from kgpm.ops.gaussian import cholesky_solve
from kgpm.ops.gaussian import symmetrize
from kgpm.ops.gaussian import transpose

# Added to the row covariance that a write returns, relative to its mean
# diagonal, so that its rounding to float32 cannot make it indefinite. It
# belongs to the posterior: sampling and divergence both see it.
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


def batch_write(
    codes: Any,
    addresses: Any,
    weights: Any,
    mean: Any,
    precision: Any,
    variance: Any,
) -> tuple[Any, Any]:
    """Writes codes at given addresses all at once.

    `P = U0^-1 + W^T W / s^2`, `U = P^-1`,
    `R = U (U0^-1 R0 + W^T Z / s^2)`: what `sequential_write` of the same
    codes gives, in any order, with one factorisation an episode.

    Args:
        codes: Z, `[B, T, C]`.
        addresses: W, `[B, T, K]`.
        weights: `[B, T]`, 0 for a code that is absent, 1 for one to write.
        mean: prior R0, `[B, K, C]`, or `[K, C]`, the same for all episodes.
        precision: inverse of the prior's U0, `[B, K, K]` or `[K, K]`;
            positive definite.
        variance: observation variance s^2, positive.

    Returns:
        Posterior mean `[B, K, C]` and row covariance `[B, K, K]`, in the
        dtype of `codes`; computed in float64.
    """
    dtype = codes.dtype
    codes, addresses, weights, mean, precision, variance = _wide(
        codes, addresses, weights, mean, precision, variance
    )
    observed = transpose(addresses * weights[..., None]) / variance
    covariance = _inverse(precision + ops.matmul(observed, addresses))
    # Where the prior is the same for all episodes, so is its part of this.
    target = ops.matmul(precision, mean) + ops.matmul(observed, codes)
    mean = ops.matmul(covariance, target)
    return ops.cast(mean, dtype), ops.cast(_keep_positive(covariance), dtype)


def sequential_write(
    codes: Any,
    addresses: Any,
    weights: Any,
    mean: Any,
    covariance: Any,
    variance: Any,
) -> tuple[Any, Any]:
    """`batch_write`, one code after the other: slow, and of the same result.

    `u = U w`, `v = w^T u + s^2`, `R += u (z - w R) / v`, `U -= u u^T / v`.
    Arguments and results are those of `batch_write`, but for the covariance
    of the prior, `[B, K, K]`, in place of its inverse.
    """

    def address(inputs: Any, mean: Any) -> Any:
        del mean
        return inputs[:, None]

    return _scan(
        codes, weights, mean, covariance, variance, address, 1, addresses
    )


def kalman_write(
    codes: Any,
    weights: Any,
    mean: Any,
    covariance: Any,
    variance: Any,
    ridge: Any = None,
    num_iterations: int = 1,
) -> tuple[Any, Any]:
    """Writes codes one after the other (Wu et al. 2018b, section 3.2).

    Each code is addressed by `ridge_address` in the memory so far, then the
    update of `sequential_write` takes place. The result depends on the order
    of the codes.

    Args:
        codes: `[B, T, C]`.
        weights: `[B, T]`, 0 for a code that is absent, 1 for one to write.
        mean: prior R0, `[B, K, C]`.
        covariance: prior U0, `[B, K, K]`.
        variance: observation variance s^2, positive.
        ridge: of the address, s^2 over the variance of w's prior; by default
            s^2.
        num_iterations: updates of each code, all from the memory before it:
            each addresses the code in the memory that the last one gave.

    Returns:
        Posterior mean `[B, K, C]` and row covariance `[B, K, K]`, in the
        dtype of `codes`; computed in float64.
    """
    (ridge,) = _wide(variance if ridge is None else ridge)

    def address(code: Any, mean: Any) -> Any:
        return ridge_address(code[:, None], mean, ridge)

    return _scan(
        codes, weights, mean, covariance, variance, address, num_iterations
    )


def _scan(
    codes: Any,
    weights: Any,
    mean: Any,
    covariance: Any,
    variance: Any,
    address: Any,
    num_iterations: int,
    addressed: Any = None,
) -> tuple[Any, Any]:
    """Rank-one updates at `address(inputs, mean)`, `[B, 1, K]`.

    The inputs of `address` are those of `addressed`, or else the codes.
    """
    dtype, size = codes.dtype, codes.shape[-1]
    codes, weights, mean, covariance, variance = _wide(
        codes, weights, mean, covariance, variance
    )

    def update(state: tuple, address: Any, code: Any, weight: Any) -> tuple:
        mean, covariance = state
        u = ops.matmul(covariance, transpose(address))
        v = ops.matmul(address, u) + variance
        gain = weight[:, None, None] * u / v
        error = code[:, None] - ops.matmul(address, mean)
        mean = mean + ops.matmul(gain, error)
        covariance = covariance - ops.matmul(gain, transpose(u))
        return mean, symmetrize(covariance)

    def step(state: tuple, inputs: Any) -> tuple:
        code, weight = inputs[:, :size], inputs[:, size]
        target = code if addressed is None else inputs[:, size + 1 :]
        new = state
        for _ in range(num_iterations):
            new = update(state, address(target, new[0]), code, weight)
        return new, None

    # The scan runs over the leading axis, the only time-major moment. Of an
    # unknown length Keras scans one tensor, but not a pair.
    parts = [codes, weights[..., None]]
    if addressed is not None:
        parts += _wide(addressed)
    inputs = ops.swapaxes(ops.concatenate(parts, axis=-1), 0, 1)
    (mean, covariance), _ = ops.scan(step, (mean, covariance), inputs)
    return ops.cast(mean, dtype), ops.cast(_keep_positive(covariance), dtype)


def _wide(*values: Any) -> list:
    """The values in float64, which many down-dates of a covariance need."""
    # A Python number goes there at once: cast, it would pass by float32.
    return [
        ops.convert_to_tensor(value, "float64")
        if isinstance(value, float | int)
        else ops.cast(value, "float64")
        for value in values
    ]


def _inverse(matrix: Any) -> Any:
    """Inverse of a positive definite matrix, itself one in every rounding."""
    factor = ops.cholesky(matrix)
    identity = ops.broadcast_to(
        ops.eye(matrix.shape[-1], dtype=matrix.dtype), ops.shape(matrix)
    )
    root = ops.solve_triangular(factor, identity, lower=True)
    return ops.matmul(transpose(root), root)


def _keep_positive(covariance: Any) -> Any:
    diagonal = ops.diagonal(covariance, axis1=-2, axis2=-1)
    scale = ops.mean(diagonal, axis=-1)
    return add_diagonal(covariance, COVARIANCE_JITTER * scale)
