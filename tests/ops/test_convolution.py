"""Convolutions against SciPy, sums, and the gradients of plain ones."""

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


def scattered(inputs, kernel, crop, sides):
    """What each input adds, `y[2 i + k - crop] += x[i] w[k]`; zeros after."""
    batch, height, width, _ = inputs.shape
    rows, columns, filters, _ = kernel.shape
    full = np.zeros(
        (batch, 2 * height + rows, 2 * width + columns, filters), inputs.dtype
    )
    for i, j in itertools.product(range(height), range(width)):
        added = np.einsum("nc,abfc->nabf", inputs[:, i, j], kernel)
        full[:, 2 * i : 2 * i + rows, 2 * j : 2 * j + columns] += added
    return full[:, crop[0] : crop[0] + sides[0], crop[1] : crop[1] + sides[1]]


@pytest.mark.parametrize("more", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    ("kernel", "crop"), [((4, 4), (2, 2)), ((3, 4), (1, 0)), ((4, 3), (1, 2))]
)
def test_values_are_the_sum_of_what_each_input_adds(kernel, crop, more):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2, 3, 4, 2))
    weights = rng.normal(size=(*kernel, 3, 2))
    sides = tuple(
        2 * (side - 1) + size - 2 * cropped + extra
        for side, size, cropped, extra in zip(
            (3, 4), kernel, crop, more, strict=True
        )
    )
    result = ops.transposed_convolution(
        tf.constant(inputs), tf.constant(weights), crop, sides
    )
    expected = scattered(inputs, weights, crop, sides)
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("width", [2, 5, 8])
@pytest.mark.parametrize("height", [4, 7])
def test_gradients_are_those_of_the_strided_convolution(height, width):
    rng = np.random.default_rng(2)
    inputs = tf.Variable(rng.normal(size=(2, height, width, 2)))
    kernel = tf.Variable(rng.normal(size=(4, 4, 2, 3)))
    padding = [(0, 0), (2, 2), (2, 2), (0, 0)]

    def convolve(images):
        return tf.nn.conv2d(tf.pad(images, padding), kernel, 2, "VALID")

    with tf.GradientTape(persistent=True) as tape:
        images = 1.0 * inputs
        plain = convolve(images)
        fast = ops.give_transposed_gradient(
            images, convolve(tf.stop_gradient(images)), kernel
        )
        upstream = rng.normal(size=plain.shape)
        expected = tf.reduce_sum(tf.sin(plain) * upstream)
        result = tf.reduce_sum(tf.sin(fast) * upstream)
    np.testing.assert_array_equal(fast, plain)
    for variable in (inputs, kernel):
        np.testing.assert_allclose(
            tape.gradient(result, variable),
            tape.gradient(expected, variable),
            atol=1e-11,
        )
