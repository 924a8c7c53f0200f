"""The sub-pixel convolution against Keras's `Conv2DTranspose`."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.layers import TransposedConvolution

KERNELS = list(itertools.product((3, 4), repeat=2))
CROPS = list(itertools.product((0, 1, 2), repeat=2))


def run(layer, crop, inputs, weights):
    layer.build(inputs.shape)
    layer.set_weights(weights)
    inputs = tf.Variable(inputs)
    with tf.GradientTape() as tape:
        outputs = layer(inputs * tf.ones((), inputs.dtype))
        if crop is not None:
            height, width = outputs.shape[1:3]
            outputs = outputs[
                :, crop[0] : height - crop[0], crop[1] : width - crop[1]
            ]
        rng = np.random.default_rng(5)
        loss = tf.reduce_sum(outputs * rng.normal(size=outputs.shape))
    gradients = tape.gradient(loss, [inputs, layer.kernel, layer.bias])
    return [outputs, *gradients]


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_values_and_gradients_are_those_of_keras(kernel, crop):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2, 3, 4, 2))
    weights = [rng.normal(size=(*kernel, 3, 2)), rng.normal(size=3)]
    layer = TransposedConvolution(3, kernel, crop, dtype="float64")
    ours = run(layer, None, inputs, weights)
    plain = keras.layers.Conv2DTranspose(
        3, kernel, strides=2, padding="valid", dtype="float64"
    )
    theirs = run(plain, crop, inputs, weights)
    assert layer.compute_output_shape(inputs.shape) == ours[0].shape
    for value, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-10)


@pytest.mark.parametrize("crop", [(0, 1), (1, 1), (2, 1)])
def test_smallest_maps_and_unknown_batch(crop):
    layer = TransposedConvolution(1, (4, 3), crop)
    height = 3 if crop[0] == 2 else 2
    model = tf.function(
        layer,
        input_signature=[tf.TensorSpec((None, height, 1, 2), tf.float32)],
    )
    shape = layer.compute_output_shape((5, height, 1, 2))
    assert model(tf.ones((5, height, 1, 2))).shape == shape


@pytest.mark.parametrize(
    ("kernel", "crop"), [((5, 4), (1, 1)), ((3, 2), (0, 0)), ((4, 4), (3, 0))]
)
def test_other_sizes_are_refused(kernel, crop):
    with pytest.raises(UserError, match="kernel sizes of 3 or 4"):
        TransposedConvolution(2, kernel, crop)
