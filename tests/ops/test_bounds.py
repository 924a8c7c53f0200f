"""Bounds against NumPy and a toy whose log-likelihood is known exactly."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from kgpm import ops

TERMS = {
    "nll": tf.constant([[5.0, 7.0]]),
    "kl_w": tf.constant([[1.0, 2.0]]),
    "kl_y": tf.constant([[0.5, 0.25]]),
    "kl_memory": tf.constant([[100.0, 100.0]]),
    # Neither a likelihood nor a divergence: an auxiliary loss.
    "autoencoder": tf.constant([[1000.0, 1000.0]]),
}


def test_nelbo_leaves_the_memorys_divergence_out():
    np.testing.assert_allclose(ops.nelbo(TERMS), [[6.5, 9.25]])
    assert ops.KL_MEMORY == "kl_memory"


def test_nelbo_full_adds_it():
    np.testing.assert_allclose(ops.nelbo_full(TERMS), [[106.5, 109.25]])


def test_nelbo_full_of_a_memory_without_density_is_an_error():
    terms = {"nll": TERMS["nll"], "kl_w": TERMS["kl_w"]}
    np.testing.assert_allclose(ops.nelbo(terms), [[6.0, 9.0]])
    with pytest.raises(KeyError):
        ops.nelbo_full(terms)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_importance_weighted_bound_is_scipys(axis):
    values = 50.0 * np.random.default_rng(1).normal(size=(3, 4, 5)) - 800.0
    result = ops.importance_weighted_bound(tf.constant(values), axis)
    count = values.shape[axis]
    expected = scipy.special.logsumexp(values, axis=axis) - math.log(count)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_one_sample_is_the_elbo():
    values = np.random.default_rng(2).normal(size=(1, 4))
    result = ops.importance_weighted_bound(tf.constant(values))
    np.testing.assert_allclose(result, values[0])


def test_bound_rises_with_samples_towards_the_exact_value():
    # h ~ N(0, 1), x | h ~ N(2 h, 0.5^2); q is deliberately off.
    x, slope, noise = 1.5, 2.0, 0.5
    exact = scipy.stats.norm.logpdf(x, 0.0, math.hypot(slope, noise))
    proposal = scipy.stats.norm(0.5, 0.5)
    repeats = 4000
    means, errors = [], []
    for count in (1, 5, 50):
        rng = np.random.default_rng(count)
        h = proposal.rvs(size=(count, repeats), random_state=rng)
        log_weights = (
            scipy.stats.norm.logpdf(h)
            + scipy.stats.norm.logpdf(x, slope * h, noise)
            - proposal.logpdf(h)
        )
        bounds = ops.importance_weighted_bound(tf.constant(log_weights))
        means.append(np.mean(bounds))
        errors.append(np.std(bounds) / math.sqrt(repeats))
    assert means[0] + 5 * errors[0] < means[1] - 5 * errors[1]
    assert means[1] + 5 * errors[1] < means[2]
    for mean, error in zip(means, errors, strict=True):
        assert mean < exact + 4 * error
    # The gap at S samples is about Var(weight) / (2 S): small, not nought.
    assert exact - means[-1] < 0.02
