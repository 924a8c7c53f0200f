"""What holds for every layer, whatever it computes."""

import json
import random

import keras
import numpy as np
import tensorflow as tf
from keras import tree


def noise(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def awake(part):
    """With random numbers in kernels that start at zero, as after training."""
    generator = np.random.default_rng(2)
    for kernel in part.trainable_variables:
        if kernel.name == "kernel" and not np.any(kernel):
            kernel.assign(generator.normal(scale=0.3, size=kernel.shape))
    return part


def run_layer_test(
    layer_class,
    config,
    inputs,
    shapes,
    num_weights,
    num_frozen=0,
    call=None,
    bfloat16=None,
):
    """Builds, calls, serialises, copies and differentiates a layer.

    Args:
        layer_class: the class.
        config: its constructor's arguments, without a dtype.
        inputs: tuple of NumPy arrays, the arguments of `call`.
        shapes: expected shapes, one for each tensor of the flattened outputs.
        num_weights: expected number of trainable weights.
        num_frozen: of those that are not trained.
        call: function of a layer and the inputs; the layer itself by default.
        bfloat16: dtype of the outputs under `mixed_bfloat16`; `None` where
            the layer is not meant for it.
    """

    def apply(layer):
        outputs = (call or (lambda layer, *x: layer(*x)))(layer, *inputs)
        return [tf.convert_to_tensor(value) for value in tree.flatten(outputs)]

    random.seed(1)
    layer = layer_class(name="layer", **config)
    apply(layer)
    # Nothing before a kernel of zeros has a gradient.
    awake(layer)
    with tf.GradientTape() as tape:
        outputs = apply(layer)
        # Random weights: a normalised output's sum of squares is constant.
        loss = sum(
            tf.reduce_sum(value * np.random.normal(size=value.shape))
            for value in outputs
        )
    assert layer.built
    assert [tuple(value.shape) for value in outputs] == shapes
    assert {value.dtype for value in outputs} == {tf.float32}
    assert all(np.all(np.isfinite(value)) for value in outputs)
    count = num_weights + num_frozen
    assert len(layer.weights) == count
    assert len({weight.path for weight in layer.weights}) == count

    variables = layer.trainable_variables
    assert len(variables) == num_weights
    for gradient, variable in zip(
        tape.gradient(loss, variables), variables, strict=True
    ):
        assert gradient is not None, variable.path
        # An embedding's comes as the rows that it took.
        gradient = tf.convert_to_tensor(gradient)
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient), variable.path

    # As JSON, which turns tuples into lists, and with other weights.
    stored = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    copy = keras.saving.deserialize_keras_object(stored)
    assert type(copy) is layer_class
    assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
    apply(copy)
    copy.set_weights(layer.get_weights())
    for value, other in zip(outputs, apply(copy), strict=True):
        np.testing.assert_array_equal(value, other)

    if bfloat16 is not None:
        half = layer_class(dtype="mixed_bfloat16", name="half", **config)
        values = apply(half)
        assert {value.dtype for value in values} == {tf.as_dtype(bfloat16)}
        assert {weight.dtype for weight in half.weights} <= {"float32"}
        half.set_weights(layer.get_weights())
        for value, other in zip(outputs, apply(half), strict=True):
            scale = np.max(np.abs(value))
            np.testing.assert_allclose(
                tf.cast(other, "float32"), value, rtol=0, atol=0.06 * scale
            )


def run_model_test(layer_class, config, inputs, shapes, model_dir):
    """Saves and loads a functional model around a layer of one input.

    Args:
        layer_class: the class.
        config: its constructor's arguments.
        inputs: tuple of one NumPy array.
        shapes: expected shapes, of the outputs first.
        model_dir: folder for a `.keras` file.
    """
    layer = layer_class(name="layer", **config)
    symbol = keras.Input(inputs[0].shape[1:])
    model = keras.Model(symbol, layer(symbol))
    assert model.output_shape == (None, *shapes[0][1:])
    awake(layer)
    path = str(model_dir / "model.keras")
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(
        loaded(inputs[0]), layer(inputs[0]), rtol=1e-5, atol=1e-5
    )
