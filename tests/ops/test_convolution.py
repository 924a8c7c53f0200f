"""The sub-pixel convolution against the sum that it stands for."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops


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


@pytest.mark.parametrize(
    ("kernel", "crop"), [((4, 4), (2, 2)), ((3, 4), (1, 0)), ((4, 3), (1, 2))]
)
def test_values_are_the_sum_of_what_each_input_adds(kernel, crop):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2, 3, 4, 2))
    weights = rng.normal(size=(*kernel, 3, 2))
    sides = tuple(
        2 * (side - 1) + size - 2 * cropped
        for side, size, cropped in zip((3, 4), kernel, crop, strict=True)
    )
    result = ops.transposed_convolution(
        tf.constant(inputs), tf.constant(weights), crop
    )
    expected = scattered(inputs, weights, crop, sides)
    np.testing.assert_allclose(result, expected, atol=1e-12)
