import itertools
import random

import numpy as np
import pytest
import tensorflow as tf

from kgpm.layers import PixelCNN


def make(num_values, grid_shape, num_blocks=2):
    random.seed(0)
    layer = PixelCNN(num_values, grid_shape, width=6, num_blocks=num_blocks)
    layer.build()
    generator = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign(generator.normal(size=weight.shape, scale=0.6))
    return layer


@pytest.mark.parametrize("num_blocks", [1, 4])
def test_each_place_depends_on_those_before_it_and_on_no_other(num_blocks):
    rows, columns = 4, 5
    layer = make(3, (rows, columns), num_blocks)
    grid = np.zeros((1, rows, columns), "int32")
    before = layer(grid).numpy().reshape(rows * columns, 3)
    for place in range(rows * columns):
        other = grid.copy()
        other.reshape(-1)[place] = 1
        after = layer(other).numpy().reshape(rows * columns, 3)
        changed = np.any(np.abs(after - before) > 1e-6, axis=-1)
        assert not np.any(changed[: place + 1])
        row, column = divmod(place, columns)
        # The next in the row, and those right below, in reach of all depths.
        if column + 1 < columns:
            assert changed[place + 1]
        if row + 1 < rows:
            assert changed[place + columns]
    if num_blocks == 4:
        # No blind spot: the last place sees every other.
        for place in range(rows * columns - 1):
            other = grid.copy()
            other.reshape(-1)[place] = 1
            after = layer(other).numpy().reshape(rows * columns, 3)
            assert np.any(after[-1] != before[-1])


def every_grid():
    values = list(itertools.product(range(3), repeat=4))
    return np.array(values, "int32").reshape(-1, 2, 2)


def test_it_is_a_distribution():
    mass = np.exp(make(3, (2, 2)).log_prob(every_grid()))
    assert mass.sum() == pytest.approx(1.0, abs=1e-5)
    assert mass.std() > 0.0


@pytest.mark.slow
def test_samples_are_of_that_distribution():
    layer = make(3, (2, 2))
    grids = every_grid()
    mass = np.exp(layer.log_prob(grids)).astype("float64")
    drawn = tf.function(lambda: layer.sample(20000, seed=3))().numpy()
    index = drawn.reshape(-1, 4) @ [27, 9, 3, 1]
    counts = np.bincount(index, minlength=81)
    error = np.sqrt(20000 * mass * (1 - mass)) + 1.0
    assert np.all(np.abs(counts - 20000 * mass) < 5 * error)
    again = layer.sample(20, seed=3)
    np.testing.assert_array_equal(again, layer.sample(20, seed=3))
    assert np.any(again != layer.sample(20, seed=4))
