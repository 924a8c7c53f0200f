import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from kgpm.layers import SoftMemory

ROWS, SIZE = 6, 4


def make(similarity):
    layer = SoftMemory(ROWS, SIZE, similarity)
    layer.build()
    generator = np.random.default_rng(0)
    layer.rows.assign(generator.normal(size=(ROWS, SIZE)))
    return layer, generator.normal(size=(2, 3, SIZE)).astype("float32")


@pytest.mark.parametrize(
    ("similarity", "beta"), [("l2", 1.0), ("cosine", 10.0), ("reference", 1.0)]
)
def test_weights_by_their_definition(similarity, beta):
    layer, inputs = make(similarity)
    assert float(layer.beta) == pytest.approx(beta)
    rows = layer.rows.numpy().astype("float64")
    z, e = inputs.astype("float64")[..., None, :], rows
    distances = np.square(z - e).sum(-1)
    products = (z * e).sum(-1)
    lengths = np.linalg.norm(z, axis=-1) * np.linalg.norm(e, axis=-1)
    k = {
        "l2": -distances,
        "cosine": products / lengths,
        "reference": distances,
    }[similarity]
    weights = special.softmax(beta * k, axis=-1)
    np.testing.assert_allclose(
        np.exp(layer.log_weights(inputs)), weights, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(layer(inputs), weights @ rows, atol=1e-5)


def test_which_row_weighs_most():
    """The nearest; in the published code the farthest."""
    for similarity, best in (("l2", np.argmin), ("reference", np.argmax)):
        layer, inputs = make(similarity)
        distances = np.square(inputs[..., None, :] - layer.rows.numpy()).sum(-1)
        heaviest = np.argmax(layer.log_weights(inputs), axis=-1)
        np.testing.assert_array_equal(heaviest, best(distances, axis=-1))


def test_published_rows_start_without_information():
    layer = SoftMemory(512, 64, "reference")
    layer.build()
    assert np.abs(layer.rows).max() <= 1 / 512
    weights = np.exp(layer.log_weights(np.ones((1, 64), "float32")))
    np.testing.assert_allclose(weights, 1 / 512, rtol=1.0)
    own = SoftMemory(512, 64)
    own.build()
    lengths = np.linalg.norm(own.rows, axis=-1)
    assert np.mean(lengths) == pytest.approx(1.0, abs=0.05)


def test_a_cosine_with_zero_has_a_gradient():
    layer, _ = make("cosine")
    zero = tf.zeros((1, SIZE))
    with tf.GradientTape() as tape:
        tape.watch(zero)
        read = layer(zero)
    assert np.all(np.isfinite(tape.gradient(read, zero)))


@pytest.mark.slow
def test_in_any_keras_model():
    random.seed(0)
    model = keras.Sequential(
        [
            keras.layers.Dense(SIZE),
            SoftMemory(ROWS, SIZE),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse")
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    losses = model.fit(x, x[:, :1], epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
