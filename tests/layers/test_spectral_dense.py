"""The spectrally normalised layer against singular values of NumPy."""

import random

import numpy as np
import tensorflow as tf

from kgpm.layers import SpectralDense


def built(seed=0, **options):
    random.seed(seed)
    layer = SpectralDense(7, dtype="float64", **options)
    layer.build((None, 5))
    return layer


def converge(layer, steps=200):
    for _ in range(steps):
        layer(np.ones((1, 5)), training=True)


def test_the_function_is_divided_by_the_largest_singular_value():
    layer = built(activation="relu")
    layer.bias.assign(np.linspace(-1, 1, 7))
    converge(layer)
    kernel = layer.kernel.numpy()
    inputs = np.random.default_rng(1).normal(size=(2, 3, 5))
    linear = inputs @ (kernel / np.linalg.norm(kernel, 2))
    expected = np.maximum(linear + np.linspace(-1, 1, 7), 0.0)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-10)


def test_a_new_layer_is_near_norm_one():
    layer = built()
    matrix = np.asarray(layer(np.eye(5)) - layer.bias)
    assert abs(np.linalg.norm(matrix, 2) - 1.0) < 0.02


def test_the_kernel_stays_free_and_inference_changes_nothing():
    layer = built()
    kernel = layer.kernel.numpy()
    layer(np.ones((1, 5)), training=True)
    np.testing.assert_array_equal(layer.kernel, kernel)
    vector = layer.left_vector.numpy()
    layer(np.ones((1, 5)))
    np.testing.assert_array_equal(layer.left_vector, vector)


def test_gradients_pass_through_sigma():
    """Central differences of the function with the exact sigma."""
    layer = built()
    converge(layer)
    inputs = np.random.default_rng(2).normal(size=(4, 5))

    def total(kernel):
        layer.kernel.assign(kernel)
        return np.sin(np.asarray(layer(inputs))).sum()

    kernel = layer.kernel.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(layer(inputs)))
    gradient = tape.gradient(loss, layer.kernel.value)
    numeric = np.zeros_like(kernel)
    for index in np.ndindex(*kernel.shape):
        step = np.zeros_like(kernel)
        step[index] = 1e-6
        values = []
        for sign in (1, -1):
            exact = np.linalg.norm(kernel + sign * step, 2)
            scaled = inputs @ ((kernel + sign * step) / exact)
            values.append(np.sin(scaled).sum())
        numeric[index] = (values[0] - values[1]) / 2e-6
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)
    # Scaling the kernel changes nothing, which Keras's wrapper's gradient
    # does not know.
    assert abs(np.sum(gradient * kernel)) < 1e-9
