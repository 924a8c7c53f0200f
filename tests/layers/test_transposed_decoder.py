"""Sizes and function of the plain transposed decoder."""

import random

import keras
import numpy as np
import pytest

from kgpm import UserError
from kgpm.layers import TransposedDecoder
from kgpm.layers.networks.transposed_decoder import transposed_layers


def sides(layers):
    side, reached = 1, []
    for kernel, stride in layers:
        side = stride * (side - 1) + kernel
        reached.append(side)
    return reached


def test_the_published_sides():
    assert sides(transposed_layers(28)) == [4, 10, 13, 28]
    assert sides(transposed_layers(32)) == [5, 12, 15, 32]
    assert sides(transposed_layers(64)) == [7, 11, 25, 29, 60, 63, 64]


@pytest.mark.parametrize("side", [4, 8, 15, 16, 26, 40, 50, 63])
def test_other_sides_are_reached(side):
    assert sides(transposed_layers(side))[-1] == side


@pytest.mark.parametrize("side", [3, 65, 128])
def test_sides_out_of_reach_are_refused(side):
    with pytest.raises(UserError, match="4 to 64 pixels"):
        transposed_layers(side)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 28, 3), (8, 8, 1)])
def test_shapes_and_a_round_trip_of_the_configuration(shape):
    random.seed(0)
    layer = TransposedDecoder(shape, 10, 5, width=4)
    layer.build()
    codes = np.random.default_rng(0).normal(size=(2, 3, 10))
    outputs = layer(codes)
    assert outputs.shape == (2, 3, *shape[:2], 5)
    np.testing.assert_allclose(
        outputs[1, 2], layer(codes[1:, 2:])[0, 0], atol=1e-5
    )
    twin = TransposedDecoder.from_config(layer.get_config())
    twin.build()
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(codes), outputs)


def test_channels_are_halved_from_four_times_the_width():
    layer = TransposedDecoder((64, 64, 3), 512, 3)
    stem, reshape, *rest = layer.chain
    assert reshape.target_shape == (7, 7, 256) and stem.units == 7 * 7 * 256
    assert [u.filters for u in rest[1::2]] == [128, 64, 32, 16, 8, 3]


def test_it_is_a_stack_of_keras_layers():
    """The dense stem and the fast convolutions against Conv2DTranspose."""
    random.seed(0)
    layer = TransposedDecoder((28, 28, 1), 6, 1, width=4)
    layer.build()
    codes = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    stem, _, *rest = layer.chain
    kernel, bias = stem.get_weights()
    hidden = codes.reshape(3, 1, 1, 6)
    first = keras.layers.Conv2DTranspose(16, 4)
    first.build(hidden.shape)
    kernel = kernel.reshape(6, 4, 4, 16).transpose(1, 2, 3, 0)
    first.set_weights([kernel, np.zeros(16)])
    hidden = first(hidden) + bias.reshape(4, 4, 16)
    for norm, upsampling in zip(rest[::2], rest[1::2], strict=True):
        hidden = norm(hidden)
        stride = upsampling.strides[0] if hasattr(upsampling, "strides") else 2
        keras_layer = keras.layers.Conv2DTranspose(
            upsampling.filters, 4, strides=stride
        )
        keras_layer.build(hidden.shape)
        keras_layer.set_weights(upsampling.get_weights())
        hidden = keras_layer(hidden)
    np.testing.assert_allclose(layer(codes), hidden, atol=1e-5)


def test_bad_arguments_are_refused():
    with pytest.raises(UserError, match="equally many layers"):
        TransposedDecoder((8, 28, 1), 4, 1)
    with pytest.raises(UserError, match="and width of at least 1"):
        TransposedDecoder((8, 8, 1), 4, 0)
