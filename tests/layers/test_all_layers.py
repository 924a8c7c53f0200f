"""The same checks on every layer of the package."""

import inspect

import keras
import numpy as np
import pytest

from kgpm import layers
from tests.layers.layer_cases import CASES
from tests.layers.layer_checks import noise
from tests.layers.layer_checks import run_layer_test
from tests.layers.layer_checks import run_model_test

# Keras turns its variables into arrays by a protocol that NumPy 2 has
# deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


@pytest.mark.parametrize("name", CASES)
def test_layer(name):
    case = dict(CASES[name])
    case.pop("in_a_model", None)
    run_layer_test(**case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.get("in_a_model")]
)
def test_layer_in_a_model(name, tmp_path):
    case = CASES[name]
    run_model_test(
        case["layer_class"],
        case["config"],
        case["inputs"],
        case["shapes"],
        tmp_path,
    )


def test_every_layer_is_in_the_table():
    tested = {case["layer_class"] for case in CASES.values()}
    public = {
        value
        for value in vars(layers).values()
        if inspect.isclass(value)
        and issubclass(value, keras.layers.Layer)
        and not inspect.isabstract(value)
    }
    assert public - {layers.Encoder, layers.Decoder} == tested


def test_residual_block_without_convolutions_output_is_the_identity():
    block = layers.ResidualBlock(4)
    block.build((None, 5, 3, 4))
    block.chain[-1].gamma.assign(np.zeros(4))
    images = noise(2, 5, 3, 4)
    # Negative values pass: nothing is applied after the sum.
    np.testing.assert_allclose(block(images), images, atol=1e-6)


@pytest.mark.parametrize(("width", "groups"), [(7, 1), (12, 4), (16, 8)])
def test_residual_block_is_made_of_kerass_layers(width, groups):
    block = layers.ResidualBlock(width)
    images = noise(2, 3, 4, width)
    outputs = block(images)
    hidden = images
    for i, ours in enumerate((block.chain[0], block.chain[3])):
        convolution = keras.layers.Conv2D(
            width, 3, padding="same", use_bias=False
        )
        convolution.build(images.shape)
        convolution.set_weights(ours.get_weights())
        hidden = keras.layers.GroupNormalization(groups)(convolution(hidden))
        if i == 0:
            hidden = keras.ops.relu(hidden)
    np.testing.assert_allclose(outputs, images + hidden, atol=2e-5)
