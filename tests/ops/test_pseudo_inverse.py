"""Pseudo-inverses against numpy.linalg and the filters of their theory."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.errors import UserError

# Iterations at which the solver is converged for the matrices below.
EXACT = {"ridge": None, "svd": None, "newton": 40, "hyperpower": 25}


def with_singular_values(rng, rows, columns, values):
    """A matrix of the given singular values and random singular vectors."""
    size = min(rows, columns)
    left = np.linalg.qr(rng.normal(size=(rows, size)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, size)))[0]
    return left * np.asarray(values) @ right.T


def singular_values_through(matrix, inverse):
    """The filter f of `inverse`: singular values of A X in A's basis."""
    left, _, _ = np.linalg.svd(matrix, full_matrices=False)
    return np.diag(left.T @ matrix @ inverse @ left)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (2, 3, 4, 7)])
@pytest.mark.parametrize("solver", EXACT)
def test_pseudo_inverse_is_numpys(solver, shape):
    matrix = np.random.default_rng(1).normal(size=shape)
    inverse = ops.pseudo_inverse(tf.constant(matrix), solver, EXACT[solver])
    assert inverse.dtype == tf.float64
    expected = np.linalg.pinv(matrix)
    # The ridge is 1e-9 of the squared Frobenius norm.
    tolerance = 1e-5 if solver == "ridge" else 1e-9
    np.testing.assert_allclose(inverse, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (3, 9, 4)])
@pytest.mark.parametrize("solver", EXACT)
def test_least_squares_is_numpys(solver, shape):
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=shape)
    right = rng.normal(size=(*shape[:-1], 3))
    result = ops.least_squares(
        tf.constant(matrix), tf.constant(right), solver, EXACT[solver]
    )
    expected = np.linalg.pinv(matrix) @ right
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
@pytest.mark.parametrize("solver", EXACT)
def test_rank_deficient(solver, shape):
    rng = np.random.default_rng(3)
    matrix = with_singular_values(rng, *shape, [3.0, 2.0, 1.0, 0.0, 0.0, 0.0])
    right = rng.normal(size=(shape[0], 2))
    # Rounding-level directions are inverted by too many iterations.
    steps = {"newton": 15, "hyperpower": 10}.get(solver)
    inverse = ops.pseudo_inverse(tf.constant(matrix), solver, steps)
    expected = np.linalg.pinv(matrix, rcond=1e-10)
    np.testing.assert_allclose(inverse, expected, rtol=0, atol=1e-6)
    result = ops.least_squares(
        tf.constant(matrix), tf.constant(right), solver, steps
    )
    np.testing.assert_allclose(result, expected @ right, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ops.SOLVERS)
def test_zero_matrix_has_the_inverse_zero(solver, dtype):
    matrix = tf.zeros((2, 3, 5), dtype)
    for value in (matrix, tf.linalg.matrix_transpose(matrix)):
        inverse = ops.pseudo_inverse(value, solver)
        assert inverse.dtype == dtype
        np.testing.assert_array_equal(inverse, np.zeros_like(inverse))
        right = tf.ones((2, value.shape[-2], 2), dtype)
        result = ops.least_squares(value, right, solver)
        assert not np.any(result)


@pytest.mark.parametrize("rows", [3, 8])
@pytest.mark.parametrize("solver", EXACT)
def test_unknown_number_of_rows(solver, rows):
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(2, rows, 5))
    right = rng.normal(size=(2, rows, 2))

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 5), tf.float64),
            tf.TensorSpec((None, None, 2), tf.float64),
        ]
    )
    def solve(matrix, right):
        steps = {"newton": 20, "hyperpower": 13}.get(solver)
        return (
            ops.pseudo_inverse(matrix, solver, steps),
            ops.least_squares(matrix, right, solver, steps),
        )

    inverse, result = solve(matrix, right)
    expected = np.linalg.pinv(matrix)
    np.testing.assert_allclose(inverse, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(result, expected @ right, rtol=0, atol=1e-5)


@pytest.mark.parametrize("solver", ["svd", "newton", "hyperpower"])
def test_float32_at_condition_number_1000(solver):
    rng = np.random.default_rng(5)
    values = np.geomspace(1.0, 1e-3, 8)
    matrix = with_singular_values(rng, 8, 20, values).astype(np.float32)
    steps = {"newton": 30, "hyperpower": 19}.get(solver)
    inverse = ops.pseudo_inverse(tf.constant(matrix), solver, steps)
    assert inverse.dtype == tf.float32
    exact = np.linalg.pinv(matrix.astype(np.float64))
    error = np.linalg.norm(inverse - exact) / np.linalg.norm(exact)
    assert error < 1e-3


@pytest.mark.parametrize(("condition", "error"), [(30, 1e-5), (100, 5e-3)])
def test_ridge_of_float32(condition, error):
    """The filter that keeps rounding out, to the precision of float64."""
    rng = np.random.default_rng(5)
    values = np.geomspace(1.0, 1.0 / condition, 8)
    matrix = with_singular_values(rng, 8, 20, values).astype(np.float32)
    inverse = ops.pseudo_inverse(tf.constant(matrix))
    assert inverse.dtype == tf.float32
    u, s, vt = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    ridge = 1e-5 * np.sum(np.square(s))
    filtered = (1.0 - (ridge / (np.square(s) + ridge)) ** 4) / s
    expected = (vt.T * filtered) @ u.T
    np.testing.assert_allclose(inverse, expected, atol=1e-6 * condition)
    exact = np.linalg.pinv(matrix.astype(np.float64))
    distance = np.linalg.norm(expected - exact) / np.linalg.norm(exact)
    assert distance < error


def test_ridge_filter():
    rng = np.random.default_rng(6)
    values = np.array([2.0, 1.0, 0.5, 0.1])
    matrix = with_singular_values(rng, 4, 7, values)
    inverse = ops.pseudo_inverse(tf.constant(matrix), "ridge", ridge=0.3)
    np.testing.assert_allclose(
        singular_values_through(matrix, inverse),
        values**2 / (values**2 + 0.3),
        atol=1e-12,
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("solver", "order"), [("newton", 2), ("hyperpower", 3)]
)
def test_filter_formula(solver, order, steps):
    rng = np.random.default_rng(7)
    values = np.array([3.0, 1.5, 0.7, 0.2])
    matrix = with_singular_values(rng, 4, 7, values)
    alpha = 1.0 / np.abs(matrix @ matrix.T).sum(axis=-1).max()
    inverse = ops.pseudo_inverse(tf.constant(matrix), solver, steps)
    np.testing.assert_allclose(
        singular_values_through(matrix, inverse),
        1.0 - (1.0 - alpha * values**2) ** (order**steps),
        atol=1e-12,
    )


@pytest.mark.parametrize("shape", [(5, 8), (8, 5)])
def test_reference_is_the_published_recipe(shape):
    matrix = 8.0 * np.random.default_rng(8).normal(size=shape)
    x = 5e-4 * matrix.T
    for _ in range(7):
        x = 2.0 * x - x @ matrix @ x
    inverse = ops.pseudo_inverse(tf.constant(matrix), "reference")
    np.testing.assert_allclose(inverse, x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("square", "diverges"), [(3900.0, False), (4100.0, True)]
)
def test_reference_diverges_beyond_4000(square, diverges):
    rng = np.random.default_rng(9)
    values = [math.sqrt(square), 30.0, 20.0]
    matrix = tf.constant(with_singular_values(rng, 3, 6, values))
    few = ops.pseudo_inverse(matrix, "reference", 7)
    many = ops.pseudo_inverse(matrix, "reference", 30)
    assert np.all(np.isfinite(few))
    exact = np.linalg.norm(np.linalg.pinv(matrix))
    if diverges:
        assert np.linalg.norm(few) > 20.0 * exact
        assert not np.all(np.isfinite(many))
    else:
        np.testing.assert_allclose(
            many, np.linalg.pinv(matrix), rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("function", ["inverse", "solution"])
@pytest.mark.parametrize("solver", ops.SOLVERS)
def test_gradients_are_finite(solver, function):
    rng = np.random.default_rng(10)
    matrix = tf.Variable(rng.normal(size=(2, 4, 6)).astype(np.float32))
    right = tf.constant(rng.normal(size=(2, 4, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        if function == "inverse":
            result = ops.pseudo_inverse(matrix * 1.0, solver)
        else:
            result = ops.least_squares(matrix * 1.0, right, solver)
        loss = tf.reduce_sum(tf.square(result))
    gradient = tape.gradient(loss, matrix)
    assert np.all(np.isfinite(gradient)) and np.any(gradient)


@pytest.mark.parametrize("deficient", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_ridge_gradient_is_that_of_finite_differences(shape, deficient):
    rng = np.random.default_rng(11)
    matrix = rng.normal(size=shape)
    right = rng.normal(size=(shape[0], 2))
    direction = rng.normal(size=shape)
    weight = rng.normal(size=(shape[1], 2))
    ridge = None
    if deficient:
        # A matrix at which the plain pseudo-inverse has no derivative.
        matrix[1] = matrix[0]
        matrix[:, 1] = matrix[:, 0]
        ridge = 0.1

    def objective(value):
        inverse = ops.pseudo_inverse(value, ridge=ridge)
        total = tf.matmul(inverse, right)
        if not deficient:
            total += ops.least_squares(value, right)
        return tf.reduce_sum(weight * total)

    variable = tf.Variable(matrix)
    with tf.GradientTape() as tape:
        loss = objective(variable * 1.0)
    slope = np.sum(tape.gradient(loss, variable) * direction)
    step = 1e-5
    above = objective(tf.constant(matrix + step * direction))
    below = objective(tf.constant(matrix - step * direction))
    assert slope == pytest.approx(float(above - below) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_gradient_passes_through_the_newton_steps(shape):
    rng = np.random.default_rng(11)
    # So small a singular value that the steps are far from converged.
    matrix = with_singular_values(rng, *shape, [1.0, 0.5, 3e-5])
    direction = rng.normal(size=shape)
    weight = rng.normal(size=shape[::-1])

    def objective(value):
        return tf.reduce_sum(weight * ops.pseudo_inverse(value))

    variable = tf.Variable(matrix)
    with tf.GradientTape() as tape:
        loss = objective(variable * 1.0)
    slope = np.sum(tape.gradient(loss, variable) * direction)
    step = 1e-7
    above = objective(tf.constant(matrix + step * direction))
    below = objective(tf.constant(matrix - step * direction))
    assert slope == pytest.approx(float(above - below) / (2 * step), rel=1e-3)


@pytest.mark.parametrize("rows", [3, 6])
def test_ridge_ignores_rows_of_padding(rows):
    rng = np.random.default_rng(12)
    # So small a singular value that the ridge takes a part of its inverse.
    values = [1.0, 0.5, 3e-5]
    matrix = with_singular_values(rng, 3, 4, values)
    if rows == 6:
        matrix = with_singular_values(rng, 6, 4, [*values, 0.5])
    right = rng.normal(size=(rows, 2))
    padding = [(0, 5), (0, 0)]
    padded_matrix, padded_right = (
        np.pad(matrix, padding),
        np.pad(right, padding),
    )
    plain = ops.least_squares(tf.constant(matrix), tf.constant(right))
    padded = ops.least_squares(
        tf.constant(padded_matrix), tf.constant(padded_right)
    )
    np.testing.assert_allclose(padded, plain, rtol=1e-5)
    exact = np.linalg.pinv(matrix) @ right
    assert np.max(np.abs(plain - exact)) > 1e-2 * np.max(np.abs(exact))
    inverse = ops.pseudo_inverse(tf.constant(padded_matrix))
    plain = ops.pseudo_inverse(tf.constant(matrix))
    np.testing.assert_allclose(inverse[:, :rows], plain, rtol=1e-5)
    # To rounding, next to numbers of 1e4.
    np.testing.assert_allclose(inverse[:, rows:], 0.0, atol=1e-4)


@pytest.mark.parametrize("count", [2, 9])
@pytest.mark.parametrize("solver", ops.SOLVERS)
def test_least_squares_from_statistics(solver, count):
    # Less than converged: the filter must act on the same singular values.
    # A safe scale would be that of another matrix.
    steps = {"newton": 25, "hyperpower": 16, "reference": 2}.get(solver)
    rng = np.random.default_rng(13)
    codes = 3.0 * rng.normal(size=(2, count, 6))
    inverse = rng.normal(size=(6, 4))
    result = ops.least_squares_from_statistics(
        tf.constant(np.swapaxes(codes, -1, -2) @ codes),
        tf.constant(inverse),
        solver,
        steps,
    )
    address, codes = tf.constant(codes @ inverse), tf.constant(codes)
    expected = ops.least_squares(address, codes, solver, steps)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-7)
    if solver == "svd":
        np.testing.assert_allclose(
            result, np.linalg.pinv(address) @ codes, atol=1e-7
        )


@pytest.mark.parametrize(
    "values", [np.geomspace(1.0, 1e-4, 8), [1.0] * 3 + [0.0] * 5]
)
def test_least_squares_of_many_float32_rows(values):
    """As good a fit as float64's, and no larger where A is near-singular."""
    rng = np.random.default_rng(14)
    codes = with_singular_values(rng, 60, 8, values).astype(np.float32)
    address = (codes @ rng.normal(size=(8, 6))).astype(np.float32)
    result = ops.least_squares(tf.constant(address), tf.constant(codes))
    assert result.dtype == tf.float32
    left, right = address.astype(np.float64), codes.astype(np.float64)
    # The same filter, s / (s^2 + lambda), from singular values.
    u, s, vt = np.linalg.svd(left, full_matrices=False)
    ridge = 1e-9 * np.sum(np.square(s))
    exact = (vt.T * (s / (np.square(s) + ridge))) @ u.T @ right
    norm = np.linalg.norm(right)
    np.testing.assert_allclose(left @ result, left @ exact, atol=1e-6 * norm)
    distance = np.linalg.norm(result - exact) / np.linalg.norm(exact)
    assert distance < 1e-3


def test_unknown_solver():
    with pytest.raises(UserError, match="ridge, newton.*received 'qr'"):
        ops.pseudo_inverse(tf.ones((2, 3)), "qr")
    with pytest.raises(UserError, match="received 'qr'"):
        ops.least_squares(tf.ones((2, 3)), tf.ones((2, 1)), "qr")
    with pytest.raises(UserError, match="received 'Ridge'"):
        ops.check_solver("Ridge")
    assert set(ops.DEFAULT_ITERATIONS) == set(ops.SOLVERS)


def test_rounding_of_a_rank_deficient_float32_matrix_is_not_inverted():
    """A memory of 3 images in 6 rows: addresses in the row space only."""
    rng = np.random.default_rng(11)
    exact = rng.normal(size=(6, 3)) @ rng.normal(size=(3, 20))
    query = rng.normal(size=(5, 20))
    expected = query @ np.linalg.pinv(exact, rcond=1e-6)
    inverse = ops.pseudo_inverse(tf.constant(exact, "float32"))
    np.testing.assert_allclose(query @ inverse.numpy(), expected, atol=2e-3)
