"""Gaussian densities, divergences in nats, and the small solves they need.

All are batched over leading axes.
"""

import math
from typing import Any

from keras import ops


def transpose(matrix: Any) -> Any:
    """Swaps the last two axes: `[..., m, n]` to `[..., n, m]`."""
    return ops.swapaxes(matrix, -1, -2)


def symmetrize(matrix: Any) -> Any:
    """The symmetric part of `[..., m, m]`."""
    return 0.5 * (matrix + transpose(matrix))


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
    # `eye` would need a known size.
    place = ops.arange(ops.shape(matrix)[-1])
    identity = ops.cast(place[:, None] == place, matrix.dtype)
    value = ops.convert_to_tensor(value, dtype=matrix.dtype)
    return matrix + value[..., None, None] * identity


def log_determinant(factor: Any) -> Any:
    """ln|L L^T| of a Cholesky factor: `[..., m, m]` to `[...]`."""
    diagonal = ops.diagonal(factor, axis1=-2, axis2=-1)
    return 2.0 * ops.sum(ops.log(diagonal), axis=-1)


def kl_diagonal_standard(mean: Any, log_variance: Any) -> Any:
    """KL of N(mean, diag(exp(log_variance))) from N(0, I).

    Args:
        mean: `[..., K]`.
        log_variance: broadcastable to `mean`, one value a dimension.

    Returns:
        `[...]`, summed over K.
    """
    log_variance = ops.broadcast_to(log_variance, ops.shape(mean))
    terms = ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance
    return 0.5 * ops.sum(terms, axis=-1)


def log_density_diagonal(values: Any, mean: Any, log_variance: Any) -> Any:
    """ln N(values; mean, diag(exp(log_variance))), `[..., K]` to `[...]`."""
    square = ops.square(values - mean) * ops.exp(-log_variance)
    terms = square + log_variance + math.log(2.0 * math.pi)
    return -0.5 * ops.sum(terms, axis=-1)


def kl_diagonal(
    mean: Any, log_variance: Any, prior_mean: Any, prior_log_variance: Any
) -> Any:
    """KL between two diagonal Gaussians, `[..., K]` to `[...]`."""
    difference = log_variance - prior_log_variance
    distance = ops.square(mean - prior_mean) * ops.exp(-prior_log_variance)
    terms = ops.exp(difference) + distance - 1.0 - difference
    return 0.5 * ops.sum(terms, axis=-1)


def kl_diagonal_pairs(
    mean: Any, log_variance: Any, prior_mean: Any, prior_log_variance: Any
) -> Any:
    """KL of each of Q diagonal Gaussians from each of K others.

    By products, in float64 because a square of a difference is a difference of
    squares there.

    Args:
        mean: `[..., Q, L]`.
        log_variance: `[..., Q, L]`.
        prior_mean: `[..., K, L]`.
        prior_log_variance: `[..., K, L]`.

    Returns:
        `[..., Q, K]`, in the dtype of `mean`.
    """
    dtype = mean.dtype
    mean, log_variance, prior_mean, prior_log_variance = (
        ops.cast(value, "float64")
        for value in (mean, log_variance, prior_mean, prior_log_variance)
    )
    precision = ops.exp(-prior_log_variance)
    scaled = prior_mean * precision
    across = ops.matmul(
        ops.exp(log_variance) + ops.square(mean), transpose(precision)
    ) - 2.0 * ops.matmul(mean, transpose(scaled))
    of_prior = ops.sum(prior_mean * scaled + prior_log_variance - 1.0, axis=-1)
    of_posterior = ops.sum(log_variance, axis=-1)[..., None]
    divergence = across + of_prior[..., None, :] - of_posterior
    return ops.cast(0.5 * divergence, dtype)


def class_predictive(
    number: Any,
    centre: Any,
    mean: Any,
    log_variance_within: Any,
    log_variance_between: Any,
) -> tuple[Any, Any]:
    """Mean and log-variance of one more member of a class.

    Members are N(c, v_w) about their class and classes c ~ N(mu, v_b), each
    dimension on its own: given n members of mean x,

        N(mu + a (x - mu), v_w + (1 - a) v_b),   a = n v_b / (v_w + n v_b).

    Args:
        number: n, `[..., 1]`, of any size from 0.
        centre: x, `[..., L]`.
        mean: mu, `[L]`.
        log_variance_within: ln v_w, `[L]`.
        log_variance_between: ln v_b, `[L]`.

    Returns:
        Two of `[..., L]`.

    Source: Gelman et al., "Bayesian Data Analysis", 2013, section 5.4.
    """
    within, between = (
        ops.exp(value) for value in (log_variance_within, log_variance_between)
    )
    share = number * between / (within + number * between)
    variance = within + (1.0 - share) * between
    return mean + share * (centre - mean), ops.log(variance)


def kl_precision_standard(mean: Any, log_precision: Any, trace: Any) -> Any:
    """KL of N(mean, P^-1) from N(0, I).

    Args:
        mean: `[..., Q, K]`, several means that share one precision P.
        log_precision: ln|P|, `[...]`.
        trace: of P^-1, `[...]`.

    Returns:
        `[..., Q]`.
    """
    shared = trace - mean.shape[-1] + log_precision
    return 0.5 * (shared[..., None] + ops.sum(ops.square(mean), axis=-1))


def kl_matrix_normal(
    mean: Any, covariance: Any, prior_mean: Any, prior_covariance: Any
) -> Any:
    """KL between matrix normals with the identity as column covariance.

    `MN(R, U, I)` from `MN(R0, U0, I)`, with full log-determinants:
    `1/2 [C (tr(U0^-1 U) - K + ln|U0| - ln|U|)
    + tr((R - R0)^T U0^-1 (R - R0))]`, in float64, because C columns multiply
    the rounding of the determinants.

    Args:
        mean: R, `[..., K, C]`.
        covariance: U, `[..., K, K]`, positive definite.
        prior_mean: R0, `[..., K, C]` with the same leading axes.
        prior_covariance: U0, `[..., K, K]` with the same leading axes.

    Returns:
        `[...]`, in the dtype of `mean`.
    """
    dtype = mean.dtype
    mean, covariance, prior_mean, prior_covariance = (
        ops.cast(value, "float64")
        for value in (mean, covariance, prior_mean, prior_covariance)
    )
    rows, columns = mean.shape[-2], mean.shape[-1]
    factor = ops.cholesky(covariance)
    prior_factor = ops.cholesky(prior_covariance)
    ratio = cholesky_solve(prior_factor, covariance)
    trace = ops.sum(ops.diagonal(ratio, axis1=-2, axis2=-1), axis=-1)
    shift = ops.solve_triangular(prior_factor, mean - prior_mean, lower=True)
    determinants = log_determinant(prior_factor) - log_determinant(factor)
    divergence = 0.5 * (
        columns * (trace - rows + determinants)
        + ops.sum(ops.square(shift), axis=(-2, -1))
    )
    return ops.cast(divergence, dtype)


def sample_matrix_normal(mean: Any, covariance: Any, noise: Any) -> Any:
    """`R + chol(U) noise`: a draw of MN(R, U, I) from standard noise.

    All `[..., K, C]` but `covariance`, `[..., K, K]`, which is factorised in
    float64; the draw has the dtype of `mean`.
    """
    factor = ops.cast(ops.cholesky(ops.cast(covariance, "float64")), mean.dtype)
    return mean + ops.matmul(factor, noise)
