"""The keys that the ordering LSTM makes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.layers import OrderingLSTM


def problem():
    rng = np.random.default_rng(1)
    codes = rng.normal(size=(2, 5, 4)).astype("float32")
    weights = np.ones((2, 5), "float32")
    weights[0, 1] = weights[1, 4] = 0.0
    layer = OrderingLSTM(4)
    layer.build()
    return layer, codes, weights


def test_an_absent_code_does_not_influence_the_other_keys():
    layer, codes, weights = problem()
    keys = layer(codes, weights)
    assert keys.shape == codes.shape
    other = np.where(weights[..., None] > 0, codes, codes + 100.0)
    present = weights > 0
    np.testing.assert_array_equal(
        keys.numpy()[present], layer(other, weights).numpy()[present]
    )
    # As if it had not been there.
    short = layer(codes[:1, [0, 2, 3, 4]])
    np.testing.assert_allclose(keys[0].numpy()[present[0]], short[0], atol=1e-6)


def test_a_present_code_influences_all_keys_of_its_episode_alone():
    layer, codes, weights = problem()
    other = codes.copy()
    other[0, 2] += 1.0
    changed = np.abs(layer(other, weights) - layer(codes, weights)) > 1e-7
    changed = changed.any(axis=-1)
    assert changed[0][weights[0] > 0].all()
    assert not changed[1].any()


def test_weights_of_one_are_the_default():
    layer, codes, _ = problem()
    np.testing.assert_allclose(
        layer(codes), layer(codes, np.ones((2, 5), "float32")), atol=1e-6
    )


@pytest.mark.slow
def test_unknown_length():
    layer, codes, weights = problem()
    function = tf.function(
        layer,
        input_signature=[
            tf.TensorSpec((None, None, 4), tf.float32),
            tf.TensorSpec((None, None), tf.float32),
        ],
    )
    np.testing.assert_allclose(
        function(codes, weights), layer(codes, weights), atol=1e-6
    )


def test_a_half_precision_policy_leaves_it_alone():
    layer, codes, weights = problem()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = OrderingLSTM(4)
        half.build()
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(layer.get_weights())
    np.testing.assert_array_equal(half(codes, weights), layer(codes, weights))


def test_odd_code_size_is_refused():
    with pytest.raises(UserError, match="even code_size.*received 5"):
        OrderingLSTM(5)
