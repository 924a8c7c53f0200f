"""Divergences of `kgpm.ops.gaussian` against TensorFlow Probability."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm import ops

tfd = tfp.distributions


def positive_definite(rng, *shape):
    root = rng.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + 0.5 * np.eye(shape[-1])


def diagonal(mean, log_variance):
    return tfd.MultivariateNormalDiag(mean, np.exp(0.5 * log_variance))


def test_log_density_diagonal():
    rng = np.random.default_rng(2)
    values, mean = rng.normal(size=(2, 3, 4))
    log_variance = rng.normal(size=(3, 4))
    result = ops.log_density_diagonal(
        *map(tf.constant, (values, mean, log_variance))
    )
    expected = diagonal(mean, log_variance).log_prob(values)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_kl_diagonal_standard():
    rng = np.random.default_rng(1)
    mean = rng.normal(size=(2, 3, 4))
    log_variance = rng.normal(size=4)
    expected = tfd.kl_divergence(
        diagonal(mean, log_variance),
        diagonal(np.zeros(4), np.zeros(4)),
    )
    result = ops.kl_diagonal_standard(
        tf.constant(mean), tf.constant(log_variance)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_kl_diagonal_standard_charges_every_dimension():
    # One variance for all K dimensions counts K times.
    result = ops.kl_diagonal_standard(tf.zeros((2, 5)), tf.constant([-1.0]))
    expected = 5 * 0.5 * (np.exp(-1.0) - 1.0 + 1.0)
    np.testing.assert_allclose(result, [expected] * 2, rtol=1e-6)


def test_kl_diagonal():
    rng = np.random.default_rng(2)
    mean, log_variance, other, other_log_variance = rng.normal(size=(4, 3, 5))
    expected = tfd.kl_divergence(
        diagonal(mean, log_variance), diagonal(other, other_log_variance)
    )
    result = ops.kl_diagonal(
        *map(tf.constant, (mean, log_variance, other, other_log_variance))
    )
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_kl_diagonal_pairs():
    rng = np.random.default_rng(7)
    mean, log_variance = rng.normal(size=(2, 2, 3, 4))
    other, other_log_variance = rng.normal(size=(2, 2, 5, 4))
    # Nearer to each other than float32's digits of their squares.
    result = ops.kl_diagonal_pairs(
        *map(tf.constant, (mean + 1e4, log_variance)),
        *map(tf.constant, (other + 1e4, other_log_variance)),
    )
    for q in range(3):
        for k in range(5):
            expected = ops.kl_diagonal(
                mean[:, q],
                log_variance[:, q],
                other[:, k],
                other_log_variance[:, k],
            )
            np.testing.assert_allclose(result[:, q, k], expected, rtol=1e-6)


def test_kl_precision_standard():
    rng = np.random.default_rng(3)
    mean = rng.normal(size=(2, 3, 4))
    precision = positive_definite(rng, 2, 4)
    covariance = np.linalg.inv(precision)
    result = ops.kl_precision_standard(
        tf.constant(mean),
        tf.constant(np.linalg.slogdet(precision)[1]),
        tf.constant(np.trace(covariance, axis1=-2, axis2=-1)),
    )
    assert result.shape == (2, 3)
    posterior = tfd.MultivariateNormalTriL(
        mean, np.linalg.cholesky(covariance)[:, None]
    )
    prior = tfd.MultivariateNormalTriL(np.zeros(4), np.eye(4))
    expected = tfd.kl_divergence(posterior, prior)
    np.testing.assert_allclose(result, expected, rtol=1e-10)


def test_kl_matrix_normal_is_that_of_the_stacked_vector():
    rng = np.random.default_rng(4)
    rows, columns = 3, 4
    mean, prior_mean = rng.normal(size=(2, 2, rows, columns))
    covariance, prior = positive_definite(rng, 2, 2, rows)

    def stacked(mean, covariance):
        # Row-major vec: the rows' covariance is the left Kronecker factor.
        full = np.stack([np.kron(u, np.eye(columns)) for u in covariance])
        return tfd.MultivariateNormalTriL(
            mean.reshape(2, -1), np.linalg.cholesky(full)
        )

    expected = tfd.kl_divergence(
        stacked(mean, covariance), stacked(prior_mean, prior)
    )
    result = ops.kl_matrix_normal(
        *map(tf.constant, (mean, covariance, prior_mean, prior))
    )
    np.testing.assert_allclose(result, expected, rtol=1e-10)
    same = ops.kl_matrix_normal(
        *map(tf.constant, (mean, covariance, mean, covariance))
    )
    np.testing.assert_allclose(same, 0.0, atol=1e-10)


def test_sample_matrix_normal_has_the_row_covariance():
    rng = np.random.default_rng(5)
    mean = rng.normal(size=(3, 2))
    covariance = positive_definite(rng, 3)
    count = 40_000
    noise = rng.normal(size=(count, 3, 2))
    draws = ops.sample_matrix_normal(
        *map(tf.constant, (mean, covariance, noise))
    ).numpy()
    deviations = (draws - mean).reshape(count, -1)
    expected = np.kron(covariance, np.eye(2))
    # Standard error of a covariance's entry: sqrt((s_ij^2 + s_ii s_jj) / n).
    scale = np.sqrt(
        (expected**2 + np.outer(np.diag(expected), np.diag(expected))) / count
    )
    error = deviations.T @ deviations / count - expected
    assert np.max(np.abs(error) / scale) < 4.5
    assert np.max(np.abs(deviations.mean(axis=0))) < 4.5 * np.sqrt(
        covariance.max() / count
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(dtype):
    mean = tf.zeros((2, 3, 4), dtype)
    eye = tf.eye(3, batch_shape=[2], dtype=dtype)
    assert ops.kl_matrix_normal(mean, eye, mean, eye).dtype == dtype
    number = tf.ones((2,), dtype)
    assert ops.kl_precision_standard(mean, number, number).dtype == dtype


def test_kl_matrix_normal_is_the_mean_log_ratio_of_draws():
    """Monte Carlo over draws of `sample_matrix_normal`."""
    rng = np.random.default_rng(9)
    rows, columns, count = 3, 4, 20_000
    mean, prior_mean = rng.normal(size=(2, rows, columns))
    covariance, prior_covariance = (
        positive_definite(rng, rows) / 4.0 for _ in range(2)
    )
    noise = rng.normal(size=(count, rows, columns))
    draws = ops.sample_matrix_normal(
        *map(tf.constant, (mean, covariance, noise))
    )

    def log_density(mean, covariance):
        # Columns are independent.
        column = tfd.MultivariateNormalTriL(
            mean.T, np.linalg.cholesky(covariance)
        )
        values = tf.transpose(draws, (0, 2, 1))
        return tf.reduce_sum(column.log_prob(values), axis=-1)

    ratio = log_density(mean, covariance) - log_density(
        prior_mean, prior_covariance
    )
    kl = ops.kl_matrix_normal(
        *map(tf.constant, (mean, covariance, prior_mean, prior_covariance))
    )
    error = np.std(ratio) / np.sqrt(count)
    assert abs(np.mean(ratio) - float(kl)) < 4.5 * error
    assert error < 0.02 * float(kl)


@pytest.mark.parametrize("number", [0, 1, 4])
def test_class_predictive(number):
    """Conditioning of one joint Gaussian of the members, two dimensions."""
    rng = np.random.default_rng(6)
    mean, within, between = rng.normal(size=2), *rng.uniform(0.2, 2, (2, 2))
    members = rng.normal(size=(number, 2))
    centre = members.mean(0) if number else np.zeros(2)
    found = ops.class_predictive(
        tf.constant([float(number)], "float64"),
        *map(tf.constant, (centre, mean, np.log(within), np.log(between))),
    )
    for d in range(2):
        joint = between[d] + within[d] * np.eye(number + 1)
        gain = joint[-1, :-1] @ np.linalg.inv(joint[:-1, :-1])
        expected = mean[d] + gain @ (members[:, d] - mean[d])
        np.testing.assert_allclose(found[0][d], expected, rtol=1e-10)
        variance = joint[-1, -1] - gain @ joint[:-1, -1]
        np.testing.assert_allclose(found[1][d], np.log(variance), rtol=1e-9)
