"""Work in parts against the work as a whole."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.ops import parts

RNG = np.random.default_rng(3)


def means(values, number):
    """Something of each row, in a nest; no row depends on another."""
    rows, factors = values
    product = rows * factors[..., None]
    return {"product": product, "sum": (tf.reduce_sum(product, axis=-1),)}


def flat(nest):
    return [np.asarray(each) for each in tf.nest.flatten(nest)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_are_the_whole(size, axis, known):
    values = RNG.normal(size=(5, 5, 2)), RNG.normal(size=(5, 5))
    values = tuple(map(tf.constant, values))
    if known:
        result = ops.in_parts(means, values, size, axis)
    else:
        shapes = [None, None, 2], [None, None]
        traced = tf.function(
            lambda *values: ops.in_parts(means, values, size, axis),
            input_signature=[tf.TensorSpec(each, "float64") for each in shapes],
        )
        result = traced(*values)
    for value, whole in zip(flat(result), flat(means(values, 0)), strict=True):
        np.testing.assert_allclose(value, whole, rtol=1e-12)


def test_parts_are_numbered_and_their_last_rows_beyond_the_end_are_left_out():
    numbers = ops.in_parts(
        lambda part, number: tf.ones_like(part) * tf.cast(number, part.dtype),
        tf.zeros(7),
        3,
    )
    np.testing.assert_array_equal(numbers, [0, 0, 0, 1, 1, 1, 2])


def test_parts_have_gradients():
    values = tf.constant(RNG.normal(size=(5, 3)))

    def gradient(size):
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = ops.in_parts(lambda part, _: part**3, values, size)
        return tape.gradient(result, values)

    np.testing.assert_allclose(gradient(2), 3.0 * values**2)


def test_part_size(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_PART", 100)
    assert ops.part_size(7, 3) == 4
    assert ops.part_size(1000) == 1
    assert ops.part_size(tf.constant(7), 3).numpy() == 4
    assert ops.part_size(7, tf.constant(1000)).numpy() == 1
