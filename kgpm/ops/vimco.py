"""Gradients of a multi-sample bound with discrete latent variables."""

import math
from typing import Any

from keras import ops

from kgpm.errors import UserError
from kgpm.ops.bounds import importance_weighted_bound

VIMCO_BASELINES = ("geometric", "arithmetic")


def vimco_bound(
    log_weights: Any, log_posterior: Any, baseline: str = "geometric"
) -> Any:
    """The importance-weighted bound, with an unbiased gradient.

    The value is that of `importance_weighted_bound`. Its gradient follows
    the log-weights, which serves what was reparameterised, and for the
    discrete draws adds

        sum_s (L - L_s) grad log q(a_s | x)

    where the baseline L_s is the bound without what sample s contributed. It
    does not depend on that sample, so either choice leaves the expected
    gradient exact:

        geometric    sample s has the mean log-weight of the others
                     (Mnih and Rezende 2016, equation 8);
        arithmetic   the bound of the other samples alone.

    Both are sums over the others, from a table with the diagonal masked:
    subtracting sample s from the total instead would need a clamp where it
    dominates, which cuts off large signals.

    Args:
        log_weights: ln p(x, a_s, z_s) - ln q(a_s, z_s | x), `[S, ...]`, which
            may depend on parameters in any way, through ln q as well.
        log_posterior: ln q(a_s | x) of the discrete part, `[S, ...]`.
        baseline: one of `VIMCO_BASELINES`.

    Returns:
        `[...]`, in nats.

    Raises:
        UserError: fewer than two samples, or an unknown baseline.

    Source: Mnih and Rezende, "Variational inference for Monte Carlo
    objectives", ICML 2016.
    """
    if baseline not in VIMCO_BASELINES:
        raise UserError(
            f"Expected baseline to be one of {', '.join(VIMCO_BASELINES)}, "
            f"received {baseline!r}."
        )
    num_samples = log_weights.shape[0]
    if num_samples < 2:
        raise UserError(
            "Expected at least 2 samples, each of which is the baseline of "
            f"the others, received {num_samples}."
        )
    bound = importance_weighted_bound(log_weights)
    # Row s holds the other samples' log-weights, and on the diagonal what
    # stands for its own.
    constant = ops.stop_gradient(log_weights)
    own = ops.eye(num_samples, dtype="bool")
    own = ops.reshape(own, (*own.shape, *[1] * (len(constant.shape) - 1)))
    if baseline == "geometric":
        others = ops.where(own, 0.0, constant[None])
        stand_in = ops.sum(others, axis=1, keepdims=True) / (num_samples - 1)
        count = num_samples
    else:
        stand_in = -float("inf")
        count = num_samples - 1
    table = ops.where(own, stand_in, constant[None])
    baselines = ops.logsumexp(table, axis=1) - math.log(count)
    signal = ops.stop_gradient(bound) - baselines
    # Zero in value.
    score = log_posterior - ops.stop_gradient(log_posterior)
    return bound + ops.sum(signal * score, axis=0)
