"""A padded convolution against SciPy and the gradient of a plain one."""

import itertools

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from kgpm import ops

SIDES = ((1, 2), (2, 2), (3, 2), (4, 3))
PADDINGS = list(itertools.product((0, 1), repeat=2))


def problem(kernel):
    rng = np.random.default_rng(sum(kernel))
    return rng.normal(size=(2, 4, 5, 2)), rng.normal(size=(*kernel, 2, 3))


def padded(values, padding):
    return np.pad(values, [(0, 0), *padding, (0, 0)])


@pytest.mark.parametrize("columns", PADDINGS)
@pytest.mark.parametrize("kernel", SIDES)
def test_values_are_scipys(kernel, columns):
    inputs, weights = problem(kernel)
    padding = ((kernel[0] - 1, 0), columns)
    result = ops.convolve_padded(
        tf.constant(inputs), tf.constant(weights), padding
    )
    for n, filters in itertools.product(range(2), range(3)):
        expected = sum(
            scipy.signal.correlate2d(
                padded(inputs, padding)[n, :, :, c],
                weights[:, :, c, filters],
                mode="valid",
            )
            for c in range(2)
        )
        np.testing.assert_allclose(
            result[n, :, :, filters], expected, atol=1e-12
        )


@pytest.mark.parametrize("columns", PADDINGS)
@pytest.mark.parametrize("rows", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gradients_are_those_of_a_plain_convolution(rows, columns):
    inputs, weights = problem((2, 2))
    padding = (rows, columns)
    plain = tf.Variable(padded(inputs, padding))
    ours, theirs = tf.Variable(inputs), tf.Variable(weights)
    with tf.GradientTape(persistent=True) as tape:
        expected = tf.nn.conv2d(plain, theirs, 1, "VALID")
        result = ops.convolve_padded(ours * 1.0, theirs * 1.0, padding)
        upstream = np.random.default_rng(1).normal(size=expected.shape)
        expected = tf.reduce_sum(tf.sin(expected) * upstream)
        result = tf.reduce_sum(tf.sin(result) * upstream)
    inside = tape.gradient(expected, plain).numpy()
    (top, _), (left, _) = padding
    inside = inside[:, top : top + 4, left : left + 5]
    np.testing.assert_allclose(tape.gradient(result, ours), inside, atol=1e-12)
    np.testing.assert_allclose(
        tape.gradient(result, theirs),
        tape.gradient(expected, theirs),
        atol=1e-12,
    )
