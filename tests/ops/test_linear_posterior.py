"""The posterior of a linear address against conditioning by NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops


def problem(size, columns, count=3, episodes=2):
    rng = np.random.default_rng(1)
    return (
        rng.normal(size=(episodes, count, columns)),
        rng.normal(size=(episodes, size, columns)),
        rng.normal(size=(episodes, count, size)),
    )


def exact(codes, matrix, noise):
    """Mean, draw, ln|P| and tr P^-1, by NumPy."""
    gram = matrix @ matrix.swapaxes(-1, -2)
    precision = np.eye(matrix.shape[-2]) + gram
    covariance = np.linalg.inv(precision)
    factor = np.linalg.cholesky(precision)
    return (
        codes @ matrix.swapaxes(-1, -2) @ covariance,
        noise @ np.linalg.inv(factor),
        np.linalg.slogdet(precision)[1],
        np.trace(covariance, axis1=-2, axis2=-1),
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)]
)
@pytest.mark.parametrize(("size", "columns"), [(4, 9), (150, 160)])
def test_it_is_numpys(size, columns, dtype, tolerance):
    values = problem(size, columns)
    result = ops.linear_posterior(
        *(tf.constant(value, dtype) for value in values)
    )
    for value, expected in zip(result, exact(*values), strict=True):
        assert value.dtype == dtype and value.shape == expected.shape
        scale = np.abs(expected).max()
        np.testing.assert_allclose(value, expected, atol=tolerance * scale)


def test_draws_have_the_covariance():
    _, matrix, _ = problem(3, 5, episodes=1)
    rng = np.random.default_rng(2)
    count = 200_000
    draws = ops.linear_posterior(
        tf.zeros((1, count, 5), "float64"),
        tf.constant(matrix),
        tf.constant(rng.normal(size=(1, count, 3))),
    ).spread.numpy()[0]
    covariance = np.linalg.inv(np.eye(3) + matrix[0] @ matrix[0].T)
    error = draws.T @ draws / count - covariance
    assert np.max(np.abs(error)) < 5.0 * covariance.max() / np.sqrt(count)


@pytest.mark.parametrize("output", range(4))
@pytest.mark.parametrize(("size", "columns"), [(4, 9), (140, 6)])
def test_gradient_is_that_of_finite_differences(size, columns, output):
    values = problem(size, columns)
    rng = np.random.default_rng(3)
    weight = rng.normal(size=exact(*values)[output].shape)
    tensors = [tf.constant(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        result = ops.linear_posterior(*tensors)
        loss = tf.reduce_sum(weight * result[output])
    gradients = tape.gradient(
        loss, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    for i, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        direction = rng.normal(size=value.shape)
        slope = 0.0
        for sign in (1.0, -1.0):
            moved = list(values)
            moved[i] = value + sign * 1e-6 * direction
            slope += sign * np.sum(weight * exact(*moved)[output]) / 2e-6
        scale = np.linalg.norm(gradient) * np.linalg.norm(direction) + 1e-3
        assert abs(np.sum(gradient * direction) - slope) < 1e-6 * scale
