"""Batch normalisation against NumPy's means and variances."""

import numpy as np

from kgpm.layers.networks.batch_normalization import BatchNormalization


def test_statistics_are_those_of_the_images_that_are_there():
    generator = np.random.default_rng(0)
    images = generator.normal(2.0, 3.0, (5, 4, 3, 2)).astype("float32")
    weights = np.array([1.0, 0.0, 1.0, 1.0, 0.0], "float32")
    layer = BatchNormalization(momentum=0.75)
    layer.build(images.shape)
    outputs = layer(images, weights, training=True)
    there = images[weights > 0].astype("float64")
    mean, variance = (f(there, axis=(0, 1, 2)) for f in (np.mean, np.var))
    np.testing.assert_allclose(layer.moving_mean, 0.25 * mean, rtol=1e-5)
    np.testing.assert_allclose(
        layer.moving_variance, 0.75 + 0.25 * variance, rtol=1e-5
    )
    expected = (images - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    # What stands in the place of an absent image does not matter.
    other = images.copy()
    other[1] = 100.0
    np.testing.assert_array_equal(
        layer(other, weights, training=True)[0], outputs[0]
    )


def test_no_weights_are_those_of_ones():
    images = np.random.default_rng(0).normal(size=(3, 2, 2, 4))
    layer = BatchNormalization()
    layer.build(images.shape)
    np.testing.assert_array_equal(
        layer(images, training=True),
        layer(images, np.ones(3), training=True),
    )


def test_inference_takes_the_running_means():
    images = np.full((2, 2, 2, 1), 3.0, "float32")
    layer = BatchNormalization()
    layer.build(images.shape)
    layer.moving_mean.assign([1.0])
    layer.moving_variance.assign([4.0])
    np.testing.assert_allclose(layer(images, np.zeros(2)), 1.0, rtol=1e-5)
