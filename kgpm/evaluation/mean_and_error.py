"""A mean and how far off it may be."""

from typing import Any

import numpy as np


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
