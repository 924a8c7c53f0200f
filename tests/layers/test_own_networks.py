"""Layers of a user's own as encoders and decoders."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.layers import Decoder
from kgpm.layers import Encoder
from kgpm.layers import ImageDecoder
from kgpm.layers import ImageEncoder
from kgpm.layers import PerImage
from kgpm.layers import as_decoder
from kgpm.layers import as_encoder


def dense_encoder():
    return keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(5, activation="relu")]
    )


def images(*leading):
    return np.random.default_rng(1).random((*leading, 6, 4, 2), "float32")


@pytest.mark.parametrize("leading", [(2, 3), (7,), (), (2, 0), (2, 3, 2)])
def test_leading_axes_are_restored(leading):
    network = dense_encoder()
    encoder = as_encoder(network)
    given = images(*leading)
    codes = encoder(given)
    assert encoder.built and network.built
    assert codes.shape == (*leading, 5)
    np.testing.assert_array_equal(
        tf.reshape(codes, (-1, 5)), network(given.reshape(-1, 6, 4, 2))
    )


def test_a_graph_need_not_know_the_number_of_episodes_or_images():
    encoder = as_encoder(dense_encoder())
    network = keras.Sequential(
        [keras.layers.Dense(12), keras.layers.Reshape((3, 2, 2))]
    )
    decoder = as_decoder(network)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 6, 4, 2])])
    def graph(values):
        codes = encoder(values)
        return codes, decoder(codes)

    given = images(2, 3)
    codes, parameters = graph(given)
    assert codes.shape == (2, 3, 5) and parameters.shape == (2, 3, 3, 2, 2)
    np.testing.assert_allclose(codes, encoder(given), atol=1e-6)
    known = graph.get_concrete_function().structured_outputs
    assert known[0].shape.as_list() == [None, None, 5]


def test_it_is_saved_and_loaded_in_a_model(tmp_path):
    symbol = keras.Input((None, 6, 4, 2))
    model = keras.Model(symbol, as_encoder(dense_encoder())(symbol))
    assert model.output_shape == (None, None, 5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[-1].layer, keras.Sequential)
    np.testing.assert_array_equal(loaded(images(2, 3)), model(images(2, 3)))


def test_training_is_handed_on():
    network = keras.Sequential([keras.layers.BatchNormalization()])
    encoder = as_encoder(network)
    given = images(2, 3)
    np.testing.assert_allclose(encoder(given), given, atol=1e-2)
    normalised = encoder(given, weights=np.ones((2, 3)), training=True)
    assert np.abs(np.mean(normalised)) < 1e-5


def test_a_half_precision_layer_decides_on_its_own_dtype():
    layer = keras.layers.Flatten(dtype="bfloat16")
    assert as_encoder(layer)(images(2)).dtype == "bfloat16"


def test_encoders_and_decoders_are_taken_as_they_are():
    encoder, decoder = ImageEncoder((8, 8, 1), 3), ImageDecoder((8, 8, 1), 3, 1)
    assert as_encoder(encoder) is encoder and not encoder.mixes_images
    assert as_decoder(decoder) is decoder
    wrapped = as_encoder(keras.layers.Flatten())
    assert isinstance(wrapped, Encoder) and isinstance(wrapped, Decoder)
    assert wrapped.name == "encoder" and not wrapped.mixes_images
    assert as_decoder(wrapped) is wrapped


def test_what_is_no_layer_is_refused():
    with pytest.raises(UserError, match="encoder to be a Keras layer, .* 'gpm"):
        as_encoder("gpm")
    with pytest.raises(UserError, match="decoder to be a Keras layer"):
        as_decoder(np.zeros)
    with pytest.raises(UserError, match="rank of at least 1, received 0"):
        PerImage(keras.layers.Flatten(), rank=0)
