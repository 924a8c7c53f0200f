"""The written-out gradient against Keras's layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.layers import GroupNormalization

SHAPE = (3, 4, 5, 8)


def values_and_gradients(layer, inputs, upstream, weights):
    layer.build(SHAPE)
    layer.set_weights(weights)
    inputs = tf.Variable(inputs)
    with tf.GradientTape() as tape:
        outputs = layer(inputs * tf.cast(1.0, inputs.dtype))
        loss = tf.reduce_sum(tf.cast(outputs, "float64") * upstream)
    sources = [inputs, layer.gamma, layer.beta]
    return outputs, *tape.gradient(loss, sources)


def problem(groups):
    rng = np.random.default_rng(groups)
    # A mean away from zero: that of the groups matters.
    inputs = 2.0 * rng.normal(size=SHAPE) + rng.normal(size=8)
    return (
        inputs,
        rng.normal(size=SHAPE),
        [
            rng.normal(size=8) + 1.0,
            rng.normal(size=8),
        ],
    )


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_float64_is_kerass(groups):
    inputs, upstream, weights = problem(groups)
    arguments = dict(groups=groups, epsilon=1e-2, dtype="float64")
    ours = values_and_gradients(
        GroupNormalization(**arguments), inputs, upstream, weights
    )
    keras_layer = keras.layers.GroupNormalization(**arguments)
    theirs = values_and_gradients(keras_layer, inputs, upstream, weights)
    for value, expected in zip(ours, theirs, strict=True):
        assert value.dtype == tf.float64
        np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_bfloat16_is_kerass_float32_to_rounding(groups):
    inputs, upstream, weights = problem(groups)
    half = tf.cast(inputs, "bfloat16")
    # Rounded as the layer's outputs round what flows back.
    upstream = tf.cast(tf.cast(upstream, "bfloat16"), "float64")
    ours = values_and_gradients(
        GroupNormalization(groups, dtype="mixed_bfloat16"),
        half,
        upstream,
        weights,
    )
    theirs = values_and_gradients(
        keras.layers.GroupNormalization(groups, dtype="float32"),
        tf.cast(half, "float32"),
        upstream,
        weights,
    )
    dtypes = [value.dtype for value in ours]
    assert dtypes == [tf.bfloat16, tf.bfloat16, tf.float32, tf.float32]
    for value, expected, dtype in zip(ours, theirs, dtypes, strict=True):
        # bfloat16 rounds to 2^-9; sums are held in float32.
        tolerance = 2**-8 if dtype == tf.bfloat16 else 1e-5
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(
            tf.cast(value, "float32"), expected, tolerance, tolerance * scale
        )


def test_constant_map_has_finite_gradients():
    layer = GroupNormalization(2)
    inputs = tf.Variable(3.0 * tf.ones((2, 4, 4, 4)))
    with tf.GradientTape() as tape:
        outputs = layer(inputs * 1.0)
        loss = tf.reduce_sum(outputs * np.random.normal(size=outputs.shape))
    np.testing.assert_allclose(outputs, 0.0, atol=1e-4)
    assert np.all(np.isfinite(tape.gradient(loss, inputs)))


def test_groups_must_divide_the_channels():
    with pytest.raises(UserError, match="groups=3, received 8 channels"):
        GroupNormalization(3).build(SHAPE)
