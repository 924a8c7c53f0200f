import numpy as np
from scipy import special
from scipy import stats

from kgpm.likelihoods import Bernoulli


def test_log_prob_is_the_log_probability():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 4, 4, 1))
    images = (rng.random((2, 3, 4, 4, 1)) < 0.5).astype("f8")
    expected = stats.bernoulli(special.expit(logits)).logpmf(images)
    np.testing.assert_allclose(
        Bernoulli().log_prob(images, logits),
        expected.sum(axis=(-3, -2, -1)),
        rtol=1e-12,
    )


def test_zero_logits_are_fair_coins():
    logits = np.zeros((28, 28, 1))
    nats = -Bernoulli().log_prob(np.ones((28, 28, 1)), logits)
    np.testing.assert_allclose(Bernoulli().bits_per_dim(nats, (28, 28, 1)), 1.0)


def test_large_logits_cost_their_size():
    images = np.array([1.0, 0.0]).reshape(2, 1, 1, 1)
    logits = np.full((2, 1, 1, 1), -50.0, "f4")
    np.testing.assert_allclose(
        Bernoulli().log_prob(images, logits), [-50.0, -np.exp(-50.0)]
    )


def test_point_thresholds_the_mean():
    logits = special.logit(np.array([0.1, 0.49, 0.5, 0.9])).reshape(4, 1, 1)
    point = Bernoulli().point(logits).numpy().ravel()
    np.testing.assert_array_equal(point, [0, 0, 1, 1])
    point = Bernoulli().point(logits, threshold=0.05).numpy().ravel()
    np.testing.assert_array_equal(point, [1, 1, 1, 1])
