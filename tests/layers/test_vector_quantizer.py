import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.layers import CodePerplexity
from kgpm.layers import VectorQuantizer
from kgpm.layers import VectorQuantizerEMA

CODES, SIZE = 5, 3
KINDS = {"gradient": VectorQuantizer, "ema": VectorQuantizerEMA}


def vectors(count=40, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, SIZE)).astype("float32")


@pytest.fixture(params=sorted(KINDS))
def layer(request):
    made = KINDS[request.param](CODES, SIZE, restart_below=0.0)
    made.build()
    return made


def test_nearest_codes(layer):
    inputs = vectors().reshape(4, 10, SIZE)
    result = layer.encode(inputs)
    codes = layer.embeddings.numpy()
    distances = np.square(inputs[..., None, :] - codes).sum(-1)
    nearest = distances.argmin(-1)
    np.testing.assert_array_equal(result.encoding_indices, nearest)
    np.testing.assert_allclose(result.vectors, codes[nearest], atol=1e-6)
    np.testing.assert_array_equal(result.encodings, np.eye(CODES)[nearest])
    error = np.square(inputs - codes[nearest]).mean(-1)
    np.testing.assert_allclose(result.commitment, error, rtol=1e-5)
    np.testing.assert_allclose(result.codebook, error, rtol=1e-5)
    np.testing.assert_array_equal(layer.lookup(nearest), codes[nearest])


def test_gradient_passes_straight_through(layer):
    inputs = tf.constant(vectors(2))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        quantized = layer.encode(inputs).vectors
    jacobian = tape.jacobian(quantized, inputs).numpy()
    expected = np.eye(2 * SIZE).reshape(2, SIZE, 2, SIZE)
    np.testing.assert_array_equal(jacobian, expected)


def test_vectors_of_another_length(layer):
    for bad in (SIZE + 1, 2 * SIZE):
        with pytest.raises(UserError, match="length 3 on the last axis"):
            type(layer)(CODES, SIZE)(np.zeros((4, bad), "float32"))


def test_new_codes_are_different_vectors(layer):
    """As many vectors as codes: each becomes one."""
    inputs = vectors(CODES)
    result = layer.encode(inputs, training=True, seed=0)
    assert sorted(result.encoding_indices.numpy()) == list(range(CODES))
    np.testing.assert_allclose(result.commitment, 0.0, atol=1e-10)


def test_each_loss_pulls_one_side():
    layer = VectorQuantizer(CODES, SIZE)
    layer.build()
    inputs = tf.constant(vectors(4))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        result = layer.encode(inputs)
        commitment = tf.reduce_sum(result.commitment)
        codebook = tf.reduce_sum(result.codebook)
    codes = layer.embeddings.value
    difference = inputs - result.vectors
    np.testing.assert_allclose(
        tape.gradient(commitment, inputs), 2 / SIZE * difference, rtol=1e-5
    )
    assert tape.gradient(commitment, codes) is None
    assert tape.gradient(codebook, inputs) is None
    expected = np.zeros((CODES, SIZE))
    np.add.at(expected, result.encoding_indices.numpy(), -difference)
    gradient = tf.convert_to_tensor(tape.gradient(codebook, codes))
    np.testing.assert_allclose(gradient, 2 / SIZE * expected, atol=1e-6)


def test_the_first_batch_places_the_codes(layer):
    inputs = vectors()
    weights = np.ones(40, "float32")
    weights[10:] = 0.0
    result = layer.encode(inputs, weights, training=True, seed=1)
    # What was quantised with, before it moved.
    used = np.unique(result.vectors, axis=0)
    gaps = np.square(used[:, None] - inputs[:10]).sum(-1).min(-1)
    assert np.all(gaps < 1e-10)
    before = layer.embeddings.numpy()
    layer.encode(vectors(seed=3) + 100.0, training=True, seed=2)
    # A second batch does not: far as it is, no code jumps there.
    assert np.abs(layer.embeddings.numpy() - before).max() < 60.0


@pytest.mark.parametrize(
    "graph", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_running_means(graph):
    """NumPy's, with the raw counts kept and absent vectors left out."""
    layer = VectorQuantizerEMA(CODES, SIZE, decay=0.9, epsilon=0.1)
    layer.restart_below = 0.0
    layer.build()
    layer.initialized.assign(1.0)
    codes = layer.embeddings.numpy().astype("float64")
    counts, sums = np.ones(CODES), codes.copy()
    encode = tf.function(layer.encode) if graph else layer.encode
    for seed in range(3):
        inputs = vectors(seed=seed)
        weights = (np.arange(40) % 3 > 0).astype("float32")
        result = encode(inputs, weights, training=True, seed=0)
        nearest = np.square(inputs[:, None] - codes).sum(-1).argmin(-1)
        np.testing.assert_array_equal(result.encoding_indices, nearest)
        one_hot = np.eye(CODES)[nearest] * weights[:, None]
        counts = 0.9 * counts + 0.1 * one_hot.sum(0)
        sums = 0.9 * sums + 0.1 * one_hot.T @ inputs
        total = counts.sum()
        smoothed = (counts + 0.1) / (total + CODES * 0.1) * total
        codes = sums / smoothed[:, None]
        np.testing.assert_allclose(layer.counts, counts, rtol=1e-5)
        np.testing.assert_allclose(layer.embeddings, codes, rtol=1e-4)


def test_nothing_moves_outside_training(layer):
    before = [weight.numpy() for weight in layer.weights]
    layer.encode(vectors())
    layer(vectors(), training=False)
    layer.trainable = False
    layer(vectors(), training=True)
    for weight, old in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_nothing_to_learn_from(layer):
    """A batch of absent images, or the empty share of a replica."""
    codes = layer.embeddings.numpy()
    layer.encode(vectors(), np.zeros(40, "float32"), training=True)
    layer.encode(vectors(0), training=True)
    np.testing.assert_allclose(layer.embeddings, codes, rtol=1e-4)
    assert float(layer.initialized) == 0.0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_code_without_use_starts_again(kind):
    layer = KINDS[kind](CODES, SIZE, decay=0.5, restart_below=0.5)
    layer.build()
    layer.encode(vectors(), training=True, seed=0)
    codes = layer.embeddings.numpy()
    codes[2] = 1e3
    layer.embeddings.assign(codes)
    if kind == "ema":
        layer.sums.assign(codes)
    layer.counts.assign([1.0, 1.0, 0.0, 1.0, 1.0])
    inputs = vectors(seed=5)
    layer.encode(inputs, training=True, seed=1)
    moved = layer.embeddings.numpy()[2]
    assert np.square(inputs - moved).sum(-1).min() < 1e-10
    # As if it had been used like the others: it is not moved at once again.
    assert layer.counts.numpy()[2] > 0.5 * layer.counts.numpy().mean()
    # And stays there when the means are taken next.
    layer.encode(inputs, training=True, seed=2)
    assert np.abs(layer.embeddings.numpy()[2]).max() < 10.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_in_any_keras_model(kind):
    random.seed(0)
    quantizer = KINDS[kind](CODES, SIZE, commitment_cost=0.5)
    inputs = keras.Input((SIZE,))
    model = keras.Model(inputs, quantizer(keras.layers.Dense(SIZE)(inputs)))
    model.compile("adam", "mse")
    x = vectors(64)
    model.fit(x, x, epochs=1, verbose=0)
    hidden = model.layers[1](x)
    result = quantizer.encode(hidden)
    error = np.square(hidden - result.vectors).mean()
    extra = 0.5 + (kind == "gradient")
    expected = np.square(x - result.vectors).mean() + extra * error
    assert model.evaluate(x, x, batch_size=64, verbose=0) == pytest.approx(
        expected, rel=1e-4
    )
    losses = model.fit(x, x, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_perplexity_is_made_again_from_its_configuration():
    metric = CodePerplexity(CODES, name="used", dtype="float32")
    twin = CodePerplexity.from_config(metric.get_config())
    assert twin.get_config() == metric.get_config()
    assert twin.name == "used" and twin.uses.shape == (CODES,)
