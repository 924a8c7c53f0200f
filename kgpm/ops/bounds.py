"""From per-image terms to bounds on the log-likelihood, in nats."""

import math
from collections.abc import Mapping
from typing import Any

from keras import ops

# The divergence of a memory that has a density. It is the only `kl_` term
# that a bound conditional on the memory leaves out.
KL_MEMORY = "kl_memory"


def nelbo(terms: Mapping[str, Any]) -> Any:
    """Conditional negative evidence lower bound: `nll` plus per-image KLs.

    Bounds -log p(x_t | M) for the memory at hand. `kl_memory` is left out, so
    where M was written from x_t itself this does not bound -log p(x_t).

    Args:
        terms: `nll` and `kl_*`, each `[B, T]`.

    Returns:
        `[B, T]`, nats per image.
    """
    total = terms["nll"]
    for name, value in terms.items():
        if name.startswith("kl_") and name != KL_MEMORY:
            total = total + value
    return total


def nelbo_full(terms: Mapping[str, Any]) -> Any:
    """`nelbo` plus the memory's divergence divided by T: bounds -log p(X)/T."""
    return nelbo(terms) + terms[KL_MEMORY]


def importance_weighted_bound(log_weights: Any, axis: int = 0) -> Any:
    """ln of the mean importance weight (Burda et al. 2016, equation 8).

    Args:
        log_weights: log p(x, h_s) - log q(h_s | x), the samples s on `axis`.
        axis: the axis of the samples, of known size.

    Returns:
        A lower bound on log p(x), `axis` removed; the ELBO for one sample.
    """
    num_samples = log_weights.shape[axis]
    return ops.logsumexp(log_weights, axis=axis) - math.log(num_samples)
