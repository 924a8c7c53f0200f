"""The temporal shift against a loop."""

import numpy as np
import pytest

from kgpm import UserError
from kgpm import ops


def shifted(features, count, weights=None):
    """The same by a loop over the images."""
    batch, length = features.shape[:2]
    if weights is None:
        weights = np.ones((batch, length))
    result = features.copy()
    for b in range(batch):
        for t in range(length):
            later = earlier = 0.0
            if t + 1 < length:
                later = weights[b, t + 1] * features[b, t + 1]
            if t > 0:
                earlier = weights[b, t - 1] * features[b, t - 1]
            result[b, t, ..., :count] = (later + 0 * features[b, t])[
                ..., :count
            ]
            result[b, t, ..., count : 2 * count] = (
                earlier + 0 * features[b, t]
            )[..., count : 2 * count]
    return result


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("fraction, count", [(0.125, 1), (0.25, 2), (0.5, 4)])
def test_channels_come_from_the_neighbours(length, fraction, count):
    features = np.random.default_rng(0).normal(size=(2, length, 3, 2, 8))
    result = ops.temporal_shift(features, fraction)
    np.testing.assert_array_equal(result, shifted(features, count))


def test_an_absent_image_reaches_no_neighbour():
    features = np.random.default_rng(1).normal(size=(2, 4, 1, 1, 8))
    weights = np.array([[1, 0, 1, 1], [1, 1, 0, 0]])
    result = ops.temporal_shift(features, 0.25, weights)
    np.testing.assert_array_equal(result, shifted(features, 2, weights))


def test_too_few_channels_to_move_stay():
    features = np.ones((1, 2, 1, 1, 7))
    assert ops.temporal_shift(features, 0.125) is features


@pytest.mark.parametrize("fraction", [-0.1, 0.6])
def test_bad_fractions_are_refused(fraction):
    with pytest.raises(UserError, match=r"from 0 to 0\.5"):
        ops.temporal_shift(np.ones((1, 2, 1, 1, 8)), fraction)
