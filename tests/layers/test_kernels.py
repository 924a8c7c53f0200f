"""Kernels for a CPU and Keras's own: the same numbers from the same weights."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import layers
from kgpm import ops
from kgpm.errors import UserError

NETWORKS = {
    "encoder": (
        lambda: layers.ImageEncoder((14, 11, 2), 6, width=8),
        (3, 14, 11, 2),
    ),
    "decoder": (
        lambda: layers.ImageDecoder((14, 11, 2), 6, 2, width=8),
        (3, 6),
    ),
    "transposed decoder": (
        lambda: layers.TransposedDecoder((12, 12, 1), 6, 1, width=4),
        (3, 6),
    ),
    "grid decoder": (
        lambda: layers.GridDecoder((8, 8, 3), 4, 3, width=4),
        (3, 2, 2, 4),
    ),
}


@pytest.fixture
def kernels():
    yield ops.choose_kernels
    ops.choose_kernels("auto")


def values_and_gradients(network, inputs):
    inputs = tf.Variable(inputs)
    with tf.GradientTape() as tape:
        outputs = network(inputs * 1.0)
        loss = tf.reduce_sum(tf.sin(outputs))
    sources = [inputs, *(each.value for each in network.trainable_weights)]
    return [outputs, *tape.gradient(loss, sources)]


@pytest.mark.parametrize("name", NETWORKS)
def test_either_gives_the_same_values_and_gradients(name, kernels):
    make, shape = NETWORKS[name]
    network = make()
    network.build()
    inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
    kernels("cpu")
    ours = values_and_gradients(network, inputs)
    kernels("keras")
    theirs = values_and_gradients(network, inputs)
    for value, expected in zip(ours, theirs, strict=True):
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(value, expected, atol=1e-5 * scale)


def operations(layer, shape):
    graph = tf.function(lambda values: layer(values)).get_concrete_function(
        tf.TensorSpec(shape)
    )
    return {each.type for each in graph.graph.get_operations()}


def test_what_runs_is_what_was_chosen(kernels):
    layer = layers.TransposedConvolution(3, (4, 4), (1, 1))
    layer.build((None, 4, 4, 2))
    kernels("keras")
    assert "Conv2DBackpropInput" in operations(layer, (2, 4, 4, 2))
    kernels("cpu")
    assert "Conv2DBackpropInput" not in operations(layer, (2, 4, 4, 2))


@pytest.mark.parametrize(
    ("gpus", "ours"), [([], True), (["gpu:0"], False)], ids=["none", "one"]
)
def test_auto_is_kerass_own_on_a_gpu(gpus, ours, monkeypatch):
    monkeypatch.setattr("keras.distribution.list_devices", lambda kind: gpus)
    assert ops.written_for_cpu() is ours


def test_another_name_is_refused():
    with pytest.raises(UserError, match="kernels"):
        ops.choose_kernels("gpu")
