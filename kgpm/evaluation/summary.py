"""What the terms of many images come to: means, and how sure they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kgpm import ops
from kgpm.layers import perplexity


def summary(
    model: Any,
    title: str,
    terms: Mapping[str, np.ndarray],
    usage: np.ndarray | None = None,
    sizes: np.ndarray | None = None,
) -> dict[str, Any]:
    """One figure of an evaluation.

    Args:
        model: a `LatentModel`.
        title: what the figure is.
        terms: by name, `[N]` in nats; among them `nelbo_iw` and
            `nelbo_stratified`, where there are such bounds.
        usage: how often each of K codes was used, `[K]`.
        sizes: see `mean_and_standard_error`.

    Returns:
        The title, and a mean with its error of `nelbo`, `nelbo_full` where the
        memory has a density, the terms, and bits per dimension.
    """
    terms = dict(terms)
    tighter: dict[str, Any] = {
        name: terms.pop(name)
        for name in ("nelbo_iw", "nelbo_stratified")
        if name in terms
    }

    def bits_per_dim(nats: np.ndarray) -> np.ndarray:
        bits = model.likelihood.bits_per_dim(nats, model.image_shape)
        return np.asarray(bits, "float64")

    nelbo = ops.nelbo(terms)
    columns: dict[str, Any] = {"nelbo": nelbo}
    if ops.KL_MEMORY in terms:
        columns["nelbo_full"] = ops.nelbo_full(terms)
    columns.update(tighter)
    columns.update(terms)
    # Of the whole bound, and of its two parts: a likelihood may add a
    # constant (the 8 bits of a dequantised density), and that belongs to
    # the part of the pixels.
    if not model.memory.why_no_bound:
        total, pixels = bits_per_dim(nelbo), bits_per_dim(terms["nll"])
        columns["bits_per_dim"] = total
        columns["bits_per_dim_nll"] = pixels
        columns["bits_per_dim_kl"] = total - pixels
    if "nelbo_iw" in tighter:
        columns["bits_per_dim_iw"] = bits_per_dim(tighter["nelbo_iw"])
    if usage is not None:
        # Of all images together: it has no error of its own.
        columns["perplexity"] = [float(perplexity(usage))]
    return {
        "title": title,
        **{
            name: mean_and_standard_error(values, sizes)
            for name, values in columns.items()
        },
    }


def mean_and_standard_error(
    values: Any, sizes: Any = None
) -> dict[str, float | None]:
    """Mean of `values` and its standard error; `None` where not finite.

    Args:
        values: `[N]`.
        sizes: how many values each group has, in order, where those of a
            group depend on each other: the error then comes from the sums of
            the groups' deviations (the sandwich estimate for clusters). By
            default each value is a group.
    """
    values = np.asarray(values, "float64").ravel()
    mean = float(np.mean(values)) if len(values) else float("nan")
    deviations = values - mean
    if sizes is not None:
        starts = np.cumsum([0, *sizes[:-1]])
        deviations = np.add.reduceat(deviations, starts)
    count = len(deviations)
    error = float("nan")
    if count > 1:
        square = count / (count - 1) * np.sum(deviations**2)
        error = float(np.sqrt(square) / len(values))
    return {
        "mean": mean if np.isfinite(mean) else None,
        "standard_error": error if np.isfinite(error) else None,
    }
