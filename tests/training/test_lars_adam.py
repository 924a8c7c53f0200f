"""LARS-then-Adam against a transcription in NumPy."""

import keras
import numpy as np
import pytest

from kgpm.training.lars_adam import LarsAdam

RATE, DECAY, TRUST = 0.01, 1e-3, 1e-3


def transcribed(value, gradients):
    """Steps of the published optimiser on one tensor, in float64."""
    m = v = 0.0
    for step, gradient in enumerate(gradients, 1):
        if value.ndim > 1:
            gradient = gradient + DECAY * value
            size, steepness = np.linalg.norm(value), np.linalg.norm(gradient)
            if size > 0 and steepness > 0:
                gradient = gradient * TRUST * size / steepness
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        # Keras adds epsilon before it corrects the bias of v ("epsilon hat").
        rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        value = value - rate * m / (np.sqrt(v) + 1e-8)
    return value


@pytest.mark.parametrize("start", ["random", "zero"])
@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 2, 3)])
def test_steps_are_the_published_ones(shape, start):
    rng = np.random.default_rng(0)
    value = rng.normal(size=shape) * (start == "random")
    gradients = rng.normal(size=(3, *shape))
    variable = keras.Variable(value, dtype="float64", name="kernel")
    optimizer = LarsAdam(RATE, DECAY, TRUST)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    # Keras keeps the powers of its momenta in float32.
    np.testing.assert_allclose(
        variable, transcribed(value, gradients), atol=3e-6
    )


def test_no_gradient_is_no_number_that_is_none():
    variable = keras.Variable(np.zeros((2, 2)), name="kernel")
    optimizer = LarsAdam(RATE)
    optimizer.build([variable])
    optimizer.apply([keras.ops.zeros((2, 2))], [variable])
    np.testing.assert_array_equal(variable, np.zeros((2, 2)))


def test_the_size_of_a_gradient_does_not_matter():
    """What LARS before Adam amounts to, without decay."""
    rng = np.random.default_rng(1)
    value, gradient = rng.normal(size=(2, 5, 4))
    results = []
    for factor in (1.0, 1000.0):
        variable = keras.Variable(value, dtype="float64", name="kernel")
        optimizer = LarsAdam(RATE, weight_decay=None)
        optimizer.build([variable])
        step = keras.ops.convert_to_tensor(factor * gradient)
        optimizer.apply([step], [variable])
        results.append(variable.numpy())
    np.testing.assert_allclose(*results, atol=1e-12)


def test_a_round_trip_of_the_configuration():
    optimizer = LarsAdam(RATE, 0.5, 0.25, global_clipnorm=3.0)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert copy.get_config() == optimizer.get_config()
    assert copy.coupled_decay == 0.5 and copy.trust_coefficient == 0.25
