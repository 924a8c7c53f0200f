"""Large ridge inverses, by blocks and in float32, against NumPy in float64."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops

# Beyond what one block holds.
K, C = 140, 200
CONDITIONS = [1e1, 1e2, 1e3, 1e4, 1e5]
SPECTRA = {
    **{
        f"{value:.0e}": np.geomspace(1.0, 1.0 / value, K)
        for value in CONDITIONS
    },
    # A memory of fewer images than rows.
    "deficient": np.append(np.geomspace(1.0, 0.1, 30), np.zeros(K - 30)),
}


@functools.cache
def memory(name):
    """A float32 matrix of known singular values."""
    rng = np.random.default_rng(1)
    left = np.linalg.qr(rng.normal(size=(K, K)))[0]
    right = np.linalg.qr(rng.normal(size=(C, K)))[0]
    return (left * SPECTRA[name] @ right.T).astype(np.float32)


def filtered(matrix):
    """The inverse with the filter of the solver's formula, by an SVD."""
    u, s, vt = np.linalg.svd(np.float64(matrix), full_matrices=False)
    ridge = 1e-5 * np.sum(np.square(s))
    share = 1.0 - (ridge / (np.square(s) + ridge)) ** 4
    return (vt.T * (share / np.maximum(s, 1e-30))) @ u.T


def distance(value, expected):
    value, expected = np.float64(value), np.float64(expected)
    return np.linalg.norm(value - expected) / np.linalg.norm(expected)


def slope_of(function, point, direction, step):
    above = function(point + step * direction)
    below = function(point - step * direction)
    return (above - below) / (2.0 * step)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)]
)
@pytest.mark.parametrize("size", [3, 128, 129, 300])
def test_gram_cholesky_is_numpys(size, dtype, tolerance):
    rows = np.random.default_rng(1).normal(size=(2, size, 10)).astype(dtype)
    factor = ops.gram_cholesky(
        tf.constant(rows), tf.constant([0.5, 2.0], dtype)
    )
    assert factor.dtype == dtype
    gram = np.float64(rows) @ np.float64(rows).swapaxes(-1, -2)
    shift = np.array([0.5, 2.0])[:, None, None] * np.eye(size)
    expected = np.linalg.cholesky(gram + shift)
    assert distance(factor, expected) < tolerance
    assert not np.any(np.triu(factor, 1))


@pytest.mark.parametrize("name", SPECTRA)
def test_accuracy_of_a_large_inverse(name):
    matrix = memory(name)
    inverse = ops.pseudo_inverse(tf.constant(matrix)).numpy()
    assert inverse.dtype == np.float32
    expected = filtered(matrix)
    # Rounding beside the bias of the filter where it damps directions, which
    # is a half of the read-out at condition 1e3.
    assert distance(inverse, expected) < 2e-3
    queries = np.random.default_rng(2).normal(size=(20, C))
    read = queries @ inverse @ matrix
    assert distance(read, queries @ expected @ matrix) < 1e-4
    if name == "1e+01":
        assert distance(inverse, np.linalg.pinv(np.float64(matrix))) < 1e-5


def test_rounding_of_a_large_deficient_matrix_is_not_inverted():
    matrix = memory("deficient")
    exact = np.linalg.pinv(np.float64(matrix), rcond=1e-5)
    queries = np.random.default_rng(3).normal(size=(20, C))
    inverse = ops.pseudo_inverse(tf.constant(matrix))
    expected = queries @ exact @ matrix
    assert distance(queries @ inverse.numpy() @ matrix, expected) < 1e-5


@pytest.mark.parametrize("count", [1, 20, K])
@pytest.mark.parametrize("name", ["1e+02", "1e+05", "deficient"])
def test_times_pseudo_inverse(name, count):
    matrix = memory(name)
    rows = np.random.default_rng(4).normal(size=(count, C)).astype(np.float32)
    result = ops.times_pseudo_inverse(tf.constant(rows), tf.constant(matrix))
    expected = rows @ filtered(matrix)
    assert result.shape == (count, K) and result.dtype == tf.float32
    assert distance(result, expected) < 2e-3
    assert distance(result @ matrix, expected @ matrix) < 1e-4


def test_times_pseudo_inverse_of_an_unknown_number_of_rows():
    matrix = memory("1e+01")
    solve = tf.function(
        lambda rows: ops.times_pseudo_inverse(rows, tf.constant(matrix)[None]),
        input_signature=[tf.TensorSpec((1, None, C))],
    )
    for count in (3, 120):
        rows = np.random.default_rng(5).normal(size=(1, count, C))
        rows = rows.astype(np.float32)
        assert distance(solve(rows), rows @ filtered(matrix)) < 1e-5


@pytest.mark.parametrize("solver", ops.SOLVERS)
def test_times_pseudo_inverse_of_a_small_matrix(solver):
    rng = np.random.default_rng(6)
    matrix, rows = rng.normal(size=(2, 3, 7)), rng.normal(size=(2, 4, 7))
    result = ops.times_pseudo_inverse(
        tf.constant(rows), tf.constant(matrix), solver
    )
    expected = rows @ ops.pseudo_inverse(tf.constant(matrix), solver).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("function", ["inverse", "few", "read"])
@pytest.mark.parametrize("name", ["1e+01", "1e+03", "deficient"])
def test_gradient_of_a_large_inverse(name, function):
    matrix = memory(name)
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(10, C))
    direction = rng.normal(size=(K, C)) * np.abs(matrix).max()
    shape = {"inverse": (C, K), "few": (10, K), "read": (10, C)}[function]
    weight = rng.normal(size=shape)
    variable = tf.Variable(matrix)
    with tf.GradientTape() as tape:
        if function == "inverse":
            result = ops.pseudo_inverse(variable * 1.0)
        else:
            result = ops.times_pseudo_inverse(
                tf.constant(rows, tf.float32), variable * 1.0
            )
        if function == "read":
            result = result @ variable
        loss = tf.reduce_sum(result * tf.constant(weight, tf.float32))
    gradient = tape.gradient(loss, variable).numpy()

    def objective(value):
        result = filtered(value)
        if function != "inverse":
            result = rows @ result
        if function == "read":
            result = result @ value
        return np.sum(weight * result)

    expected = slope_of(objective, np.float64(matrix), direction, 1e-5)
    scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
    # One number of a random direction is a small part of the gradient.
    assert abs(np.sum(gradient * direction) - expected) < 2e-5 * scale


def test_gradient_of_a_large_zero_matrix_is_finite():
    matrix = tf.Variable(tf.zeros((K, C)))
    with tf.GradientTape() as tape:
        inverse = ops.pseudo_inverse(matrix * 1.0)
        few = ops.times_pseudo_inverse(tf.ones((2, C)), matrix * 1.0)
        loss = tf.reduce_sum(inverse) + tf.reduce_sum(few)
    assert not np.any(inverse) and not np.any(few)
    assert np.all(np.isfinite(tape.gradient(loss, matrix)))


def solution(matrix, right):
    """`(A^T A + lambda I)^-1 A^T B` with the solver's lambda, by NumPy."""
    ridge = 1e-9 * np.sum(np.square(matrix))
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return (vt.T * (s / (np.square(s) + ridge))) @ (u.T @ right)


def gradients_of_least_squares(matrix, right, weight):
    with tf.GradientTape() as tape:
        tape.watch([matrix, right])
        result = ops.least_squares(matrix, right)
        loss = tf.reduce_sum(result * tf.cast(weight, result.dtype))
    return result, *tape.gradient(loss, [matrix, right])


@pytest.mark.parametrize("shape", [(K, 210), (210, K), (5, 9), (9, 5)])
def test_gradient_of_least_squares(shape):
    """In both arguments, for matrices of more rows than a block and small."""
    rng = np.random.default_rng(8)
    matrix, right = rng.normal(size=shape), rng.normal(size=(shape[0], 3))
    weight = rng.normal(size=(shape[1], 3))
    directions = rng.normal(size=shape), rng.normal(size=right.shape)
    slopes = (
        slope_of(
            lambda value: np.sum(weight * solution(value, right)),
            matrix,
            directions[0],
            1e-6,
        ),
        np.sum(weight * solution(matrix, directions[1])),
    )
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-4)):
        values = [tf.cast(value, dtype) for value in (matrix, right)]
        result, *gradients = gradients_of_least_squares(*values, weight)
        assert distance(result, solution(matrix, right)) < tolerance
        for gradient, direction, slope in zip(
            gradients, directions, slopes, strict=True
        ):
            scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
            assert abs(np.sum(gradient * direction) - slope) < tolerance * scale


@pytest.mark.parametrize("rows", [3, 9])
def test_gradient_of_an_unknown_number_of_float32_rows(rows):
    """Fewer of them than columns make a Gram matrix of A^T A singular."""
    rng = np.random.default_rng(10)
    matrix, right = rng.normal(size=(rows, 5)), rng.normal(size=(rows, 2))
    weight = rng.normal(size=(5, 2))
    traced = tf.function(
        gradients_of_least_squares,
        input_signature=[
            tf.TensorSpec((None, 5)),
            tf.TensorSpec((None, 2)),
            tf.TensorSpec((5, 2)),
        ],
    )
    exact = gradients_of_least_squares(
        *map(tf.constant, (matrix, right)), weight
    )
    for value, expected in zip(
        traced(matrix, right, weight), exact, strict=True
    ):
        assert distance(value, expected) < 1e-5


@pytest.mark.parametrize("rows", [4, 11])
def test_ridge_of_least_squares_has_a_gradient(rows):
    """Where a singular value is so small that the ridge counts."""
    rng = np.random.default_rng(9)
    left = np.linalg.qr(rng.normal(size=(rows, 4)))[0]
    matrix = (
        left
        * [1.0, 0.7, 0.5, 4e-5]
        @ np.linalg.qr(rng.normal(size=(7, 4)))[0].T
    )
    right, weight = rng.normal(size=(rows, 2)), rng.normal(size=(7, 2))
    variable = tf.Variable(matrix)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(
            weight * ops.least_squares(variable * 1.0, tf.constant(right))
        )
    gradient = tape.gradient(loss, variable).numpy()
    # With a ridge that grows with A, twice the matrix has half the solution.
    assert np.sum(gradient * matrix) == pytest.approx(-float(loss), rel=1e-6)
