"""VIMCO against enumeration of every draw, and against TFP's baseline."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm import ops
from kgpm.errors import UserError

NUM_SAMPLES = 3
# ln p(x, a) of three addresses: gaps of tens of nats, as between images.
NEAR = [-1.0, -2.0, -0.5]
FAR = [-30.0, -80.0, -55.0]


def log_weights(logits, joint, addresses):
    log_q = tf.gather(tf.nn.log_softmax(logits), addresses)
    return tf.gather(joint, addresses) - log_q, log_q


def expectation(logits, joint, value):
    """The sum over all 27 draws of `value(addresses)`, and its gradients."""
    total = 0.0
    for addresses in itertools.product(range(3), repeat=NUM_SAMPLES):
        total = total + value(tf.constant(addresses))
    return total


@pytest.mark.parametrize("baseline", ops.VIMCO_BASELINES)
@pytest.mark.parametrize("joint", [NEAR, FAR])
def test_expected_gradient_is_that_of_the_enumerated_bound(baseline, joint):
    """For the posterior's and the model's parameters, exactly."""
    logits = tf.constant([0.3, -0.7, 0.2], tf.float64)
    joint = tf.constant(joint, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([logits, joint])

        def exact(addresses):
            weights, log_q = log_weights(logits, joint, addresses)
            bound = ops.importance_weighted_bound(weights)
            return tf.exp(tf.reduce_sum(log_q)) * bound

        def estimate(addresses):
            weights, log_q = log_weights(logits, joint, addresses)
            probability = tf.stop_gradient(tf.exp(tf.reduce_sum(log_q)))
            return probability * ops.vimco_bound(weights, log_q, baseline)

        expected = expectation(logits, joint, exact)
        got = expectation(logits, joint, estimate)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    for values in (logits, joint):
        np.testing.assert_allclose(
            tf.convert_to_tensor(tape.gradient(got, values)),
            tf.convert_to_tensor(tape.gradient(expected, values)),
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize("baseline", ops.VIMCO_BASELINES)
def test_large_signals_are_not_cut(baseline):
    """In float32, where one sample holds all the weight."""
    gap = 50.0
    weights = tf.constant([[gap], [0.0], [1.0]])
    log_q = tf.constant([[-1.0], [-2.0], [-0.1]])
    with tf.GradientTape() as tape:
        tape.watch(log_q)
        bound = ops.vimco_bound(weights, log_q, baseline)
    others = np.array([0.0, 1.0])
    if baseline == "geometric":
        others = np.append(others, 0.5)
    expected = (
        gap - np.log(3) - (np.logaddexp.reduce(others) - np.log(len(others)))
    )
    np.testing.assert_allclose(
        tape.gradient(bound, log_q)[0, 0], expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("baseline", "oracle"),
    [
        ("geometric", tfp.stats.log_soomean_exp),
        ("arithmetic", tfp.stats.log_loomean_exp),
    ],
)
def test_baselines_are_those_of_tfp(baseline, oracle):
    generator = np.random.default_rng(0)
    weights = tf.constant(generator.normal(size=(5, 4)) * 3.0)
    log_q = tf.constant(generator.normal(size=(5, 4)))
    with tf.GradientTape() as tape:
        tape.watch(log_q)
        bound = ops.vimco_bound(weights, log_q, baseline)
    expected, average = oracle(weights, axis=0)
    np.testing.assert_allclose(bound, average, rtol=1e-9)
    np.testing.assert_allclose(
        tape.gradient(bound, log_q), average - expected, rtol=1e-6
    )


def test_signals_average_to_zero_for_equal_samples():
    weights = tf.fill([4, 2], -7.0)
    log_q = tf.zeros([4, 2])
    for baseline in ops.VIMCO_BASELINES:
        with tf.GradientTape() as tape:
            tape.watch(log_q)
            bound = ops.vimco_bound(weights, log_q, baseline)
        np.testing.assert_allclose(bound, -7.0, rtol=1e-6)
        np.testing.assert_allclose(tape.gradient(bound, log_q), 0.0, atol=1e-6)


def test_mistakes():
    weights = tf.zeros([1, 2])
    with pytest.raises(UserError, match="at least 2 samples.*received 1"):
        ops.vimco_bound(weights, weights)
    with pytest.raises(UserError, match="geometric, arithmetic"):
        ops.vimco_bound(tf.zeros([2, 2]), tf.zeros([2, 2]), "mean")
