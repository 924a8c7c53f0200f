import math

import numpy as np
import pytest

from kgpm.evaluation.summary import mean_and_standard_error


def test_standard_error_of_groups_is_that_of_their_sums():
    """Equal groups: that of the group means; and of values, if unrelated."""
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(40, 6)) + 2.0 * rng.normal(size=(40, 1))
    result = mean_and_standard_error(groups, [6] * 40)
    means = groups.mean(1)
    assert result["standard_error"] == pytest.approx(
        means.std(ddof=1) / np.sqrt(40)
    )
    single = mean_and_standard_error(groups, [1] * 240)
    assert single == mean_and_standard_error(groups)
    assert single["standard_error"] < 0.5 * result["standard_error"]
    # One number for all of an episode is one number, however long it is.
    copies = np.repeat(means, 6)
    assert mean_and_standard_error(copies, [6] * 40)[
        "standard_error"
    ] == pytest.approx(means.std(ddof=1) / np.sqrt(40))
    assert mean_and_standard_error(means, [40])["standard_error"] is None


def test_standard_error_of_unequal_groups_covers_the_truth():
    """Over many draws the error is the spread of the estimates."""
    rng = np.random.default_rng(1)
    sizes = np.array([6] * 20 + [3])
    estimates, errors = [], []
    for _ in range(400):
        shared = np.repeat(rng.normal(size=21), sizes)
        values = shared + rng.normal(size=sizes.sum())
        result = mean_and_standard_error(values, sizes)
        estimates.append(result["mean"])
        errors.append(result["standard_error"])
    # 400 draws know a spread to 4%, and 21 groups a variance to a third.
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.12)


def test_standard_error_of_one_image_is_not_a_number():
    assert mean_and_standard_error([2.0]) == {
        "mean": 2.0,
        "standard_error": None,
    }
    assert mean_and_standard_error([1.0, math.nan])["mean"] is None
