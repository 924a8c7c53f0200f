"""The diagonal Gaussian of a head: what is drawn is what is charged."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.errors import UserError
from kgpm.layers import GaussianHead


def make(size=3, features=4, initial_scale=1.0):
    head = GaussianHead(
        size, hidden_size=6, initial_scale=initial_scale, dtype="float64"
    )
    head.build((None, None, features))
    rng = np.random.default_rng(1)
    head.set_weights([rng.normal(size=w.shape) for w in head.weights])
    return head


def test_network_and_scale():
    head = make()
    features = np.random.default_rng(2).normal(size=(2, 5, 4))
    kernel, bias, last, last_bias = head.get_weights()
    outputs = np.maximum(features @ kernel + bias, 0.0) @ last + last_bias
    gaussian = head(features)
    np.testing.assert_allclose(gaussian.mean, outputs[..., :3], rtol=1e-10)
    # softplus(0.5413...) = 1
    shift = np.log(np.e - 1.0)
    scale = np.log1p(np.exp(outputs[..., 3:] + shift)) + 1e-4
    np.testing.assert_allclose(
        np.exp(0.5 * gaussian.log_variance), scale, rtol=1e-10
    )


def test_zero_output_is_a_standard_normal():
    head = make()
    head.set_weights([0.0 * w for w in head.get_weights()])
    gaussian = head(np.ones((1, 1, 4)))
    np.testing.assert_allclose(gaussian.mean, np.zeros((1, 1, 3)))
    kl = ops.kl_diagonal_standard(*gaussian)
    np.testing.assert_allclose(kl, [[0.0]], atol=1e-6)


def test_initial_scale_is_that_of_a_zero_output():
    head = make(initial_scale=0.2)
    head.set_weights([0.0 * w for w in head.get_weights()])
    scale = np.exp(0.5 * head(np.ones((1, 1, 4))).log_variance)
    np.testing.assert_allclose(scale, np.full((1, 1, 3), 0.2 + 1e-4))


def test_drawn_scale_is_the_charged_one():
    head = make()
    count = 40_000
    features = np.random.default_rng(3).normal(size=(1, 1, 4))
    gaussian = head(tf.constant(features.repeat(count, axis=1)))
    draws = gaussian.sample(ops.make_seed(4)).numpy()[0]
    scale = np.exp(0.5 * gaussian.log_variance.numpy()[0, 0])
    # The standard error of a standard deviation is scale / sqrt(2 n).
    error = np.abs(draws.std(axis=0) - scale) / scale
    assert np.all(error < 4.5 / np.sqrt(2 * count))
    error = np.abs(draws.mean(axis=0) - gaussian.mean.numpy()[0, 0]) / scale
    assert np.all(error < 4.5 / np.sqrt(count))
    assert abs(np.corrcoef(draws.T)[0, 1]) < 4.5 / np.sqrt(count)


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (1, 1, 0)])
def test_sizes_below_one(sizes):
    with pytest.raises(UserError, match="size, hidden_size and num_hidden of"):
        GaussianHead(*sizes)


def test_a_scale_that_is_not_positive():
    with pytest.raises(UserError, match="initial_scale > 0, received 0"):
        GaussianHead(2, 3, initial_scale=0.0)
