"""Small dense solves against NumPy and SciPy."""

import numpy as np
import scipy.linalg
import tensorflow as tf

from kgpm import ops


def positive_definite(rng, *shape):
    root = rng.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + np.eye(shape[-1])


def test_transpose():
    matrix = np.arange(24.0).reshape(2, 3, 4)
    result = ops.transpose(tf.constant(matrix))
    np.testing.assert_array_equal(result, np.swapaxes(matrix, 1, 2))


def test_cholesky_solve_is_scipys():
    rng = np.random.default_rng(1)
    matrix = positive_definite(rng, 2, 4)
    right = rng.normal(size=(2, 4, 3))
    factor = tf.constant(np.linalg.cholesky(matrix))
    result = ops.cholesky_solve(factor, tf.constant(right))
    for i in range(2):
        expected = scipy.linalg.cho_solve(
            (scipy.linalg.cholesky(matrix[i], lower=True), True), right[i]
        )
        np.testing.assert_allclose(result[i], expected, atol=1e-12)


def test_add_diagonal():
    matrix = np.random.default_rng(2).normal(size=(2, 3, 3))
    scalar = ops.add_diagonal(tf.constant(matrix), 0.5)
    np.testing.assert_allclose(scalar, matrix + 0.5 * np.eye(3))
    each = ops.add_diagonal(tf.constant(matrix), tf.constant([1.0, 2.0]))
    assert each.dtype == tf.float64
    for i in range(2):
        np.testing.assert_allclose(each[i], matrix[i] + (i + 1) * np.eye(3))


def test_log_determinant_is_numpys():
    matrix = positive_definite(np.random.default_rng(3), 2, 5)
    result = ops.log_determinant(tf.constant(np.linalg.cholesky(matrix)))
    np.testing.assert_allclose(result, np.linalg.slogdet(matrix)[1])


def test_symmetrize():
    matrix = np.random.default_rng(4).normal(size=(2, 3, 3))
    result = ops.symmetrize(tf.constant(matrix)).numpy()
    np.testing.assert_array_equal(result, np.swapaxes(result, -1, -2))
    skew = matrix - result
    np.testing.assert_allclose(skew, -np.swapaxes(skew, -1, -2), atol=1e-15)
