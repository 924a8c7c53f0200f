import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_model import TinyModel

from kgpm import UserError
from kgpm.training.optimizer import learning_rate_schedule
from kgpm.training.optimizer import make_optimizer

NAMES = ("adam", "adamw", "lamb", "lars_adam", "lion", "muon")


def step_without_gradient(model, optimizer):
    variables = model.trainable_variables
    zeros = [np.zeros(variable.shape, "float32") for variable in variables]
    optimizer.apply([tf.constant(zero) for zero in zeros], variables)


# The decay of the other one is in the gradient: see test_lars_adam.py.
@pytest.mark.parametrize("name", [n for n in NAMES if n != "lars_adam"])
def test_decay_shrinks_kernels_and_nothing_else(name):
    model = TinyModel()
    model.dense.kernel.assign([[2.0]])
    model.dense.bias.assign([5.0])
    optimizer = make_optimizer(model, name, 0.1, weight_decay=0.25)
    step_without_gradient(model, optimizer)
    # Without a gradient only the decay moves a variable: w - rate decay w.
    np.testing.assert_allclose(model.dense.kernel, [[1.95]], rtol=1e-6)
    np.testing.assert_array_equal(model.dense.bias, [5.0])


@pytest.mark.parametrize("name", NAMES)
def test_no_decay_unless_asked_for(name):
    model = TinyModel()
    model.dense.kernel.assign([[2.0]])
    optimizer = make_optimizer(model, name, 0.1)
    step_without_gradient(model, optimizer)
    np.testing.assert_array_equal(model.dense.kernel, [[2.0]])


def test_warm_up_then_cosine_to_zero():
    schedule = learning_rate_schedule(2.0, total_steps=30, warmup_steps=10)
    steps = np.arange(31)
    expected = np.where(
        steps < 10,
        2.0 * steps / 10,
        1.0 + np.cos(np.pi * (steps - 10) / 20),
    )
    np.testing.assert_allclose(
        [float(schedule(step)) for step in steps], expected, atol=1e-6
    )


def test_warm_up_then_constant():
    schedule = learning_rate_schedule(2.0, 30, 10, "constant")
    rates = [float(schedule(step)) for step in (0, 5, 10, 20, 50)]
    np.testing.assert_allclose(rates, [0.0, 1.0, 2.0, 2.0, 2.0])


def test_constant_without_warm_up_is_a_number():
    assert learning_rate_schedule(0.5, 30, 0, "constant") == 0.5


def test_the_model_clips_at_the_norm_asked_for():
    model = TinyModel()
    optimizer = make_optimizer(model, "adam", 0.1, clip_norm=3.0)
    assert optimizer.global_clipnorm == 3.0
    assert make_optimizer(TinyModel(), "adam").global_clipnorm is None


def test_averages_when_asked_to():
    optimizer = make_optimizer(TinyModel(), "adam", ema_momentum=0.9)
    assert optimizer.use_ema
    assert optimizer.ema_momentum == 0.9
    assert not make_optimizer(TinyModel(), "adam").use_ema


def test_optimizer_is_restored_from_its_configuration():
    optimizer = make_optimizer(
        TinyModel(), learning_rate=learning_rate_schedule(1.0, 9, 3)
    )
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert float(copy.learning_rate) == float(optimizer.learning_rate)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: make_optimizer(TinyModel(), "sgdd"), "adam, adamw"),
        (lambda: learning_rate_schedule(1.0, 10, 10), "shorter than"),
        (lambda: learning_rate_schedule(1.0, 10, 0, "step"), "cosine"),
    ],
)
def test_mistakes_are_user_errors(call, message):
    with pytest.raises(UserError, match=message):
        call()
