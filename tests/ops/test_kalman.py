"""Bayesian writing against dense conditioning of one big Gaussian."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops

VARIANCE = 0.3


def problem(seed, episodes=2, codes=5, rows=3, columns=4):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(episodes, rows, rows))
    return (
        rng.normal(size=(episodes, codes, columns)),
        rng.normal(size=(episodes, rows, columns)),
        root @ np.swapaxes(root, -1, -2) + np.eye(rows),
    )


def ridge(code, mean):
    gram = mean @ mean.T + VARIANCE * np.eye(len(mean))
    return code @ mean.T @ np.linalg.inv(gram)


def condition(addresses, codes, mean, covariance):
    """Exact posterior of vec(M) given z_t = w_t M + noise, all at once.

    Built from the joint covariance of the K C numbers of M: the Kalman
    recursion and its rank-one updates do not occur.
    """
    count, columns = codes.shape
    rows = len(mean)
    prior = np.kron(covariance, np.eye(columns))
    observe = np.kron(addresses, np.eye(columns))
    noise = VARIANCE * np.eye(count * columns)
    gain = (
        prior @ observe.T @ np.linalg.inv(observe @ prior @ observe.T + noise)
    )
    error = codes.ravel() - observe @ mean.ravel()
    posterior = prior - gain @ observe @ prior
    return (
        (mean.ravel() + gain @ error).reshape(rows, columns),
        posterior.reshape(rows, columns, rows, columns)[:, 0, :, 0],
    )


def jittered(covariance):
    """A written covariance with the share of its diagonal that is added."""
    scale = np.trace(covariance) / len(covariance)
    return covariance + 1e-6 * scale * np.eye(len(covariance))


def write(codes, mean, covariance, weights=None, dtype="float64"):
    if weights is None:
        weights = np.ones(codes.shape[:2])
    tensors = [
        tf.constant(value, dtype)
        for value in (codes, weights, mean, covariance)
    ]
    # A loop over many codes is slow outside a function.
    function = tf.function(ops.kalman_write) if codes.size > 999 else None
    result = (function or ops.kalman_write)(*tensors, VARIANCE)
    return [value.numpy() for value in result]


def test_ridge_address_is_numpys_and_tensorflows():
    codes, mean, _ = problem(1)
    result = ops.ridge_address(tf.constant(codes), tf.constant(mean), VARIANCE)
    assert result.shape == (2, 5, 3)
    for i in range(2):
        expected = ridge(codes[i], mean[i])
        np.testing.assert_allclose(result[i], expected, atol=1e-12)
    other = tf.linalg.lstsq(
        tf.linalg.matrix_transpose(mean),
        tf.linalg.matrix_transpose(codes),
        l2_regularizer=VARIANCE,
    )
    np.testing.assert_allclose(
        result, tf.linalg.matrix_transpose(other), atol=1e-10
    )


def test_write_is_exact_bayesian_conditioning_given_the_addresses():
    codes, mean, covariance = problem(2)
    result_mean, result_covariance = write(codes, mean, covariance)
    for i in range(2):
        # The addresses that were used, each in the memory before its write,
        # from conditioning on all earlier codes at once.
        addresses = []
        for code in codes[i]:
            so_far = mean[i]
            if addresses:
                so_far, _ = condition(
                    np.stack(addresses),
                    codes[i, : len(addresses)],
                    mean[i],
                    covariance[i],
                )
            addresses.append(ridge(code, so_far))
        expected_mean, expected_covariance = condition(
            np.stack(addresses), codes[i], mean[i], covariance[i]
        )
        np.testing.assert_allclose(result_mean[i], expected_mean, atol=1e-10)
        np.testing.assert_allclose(
            result_covariance[i], jittered(expected_covariance), atol=1e-10
        )


def batch_write(codes, addresses, weights, mean, covariance, variance):
    """From the prior's covariance, as the sequential form takes it."""
    precision = tf.linalg.inv(covariance)
    return ops.batch_write(codes, addresses, weights, mean, precision, variance)


@pytest.mark.parametrize("function", [batch_write, ops.sequential_write])
def test_write_at_given_addresses_is_conditioning(function):
    codes, mean, covariance = problem(11)
    addresses = np.random.default_rng(12).normal(size=(2, 5, 3))
    weights = np.array([[1.0] * 5, [1.0, 0.0, 1.0, 1.0, 0.0]])
    arguments = (codes, addresses, weights, mean, covariance)
    result_mean, result_covariance = function(
        *map(tf.constant, arguments), VARIANCE
    )
    for i in range(2):
        present = weights[i] > 0
        expected_mean, expected_covariance = condition(
            addresses[i, present], codes[i, present], mean[i], covariance[i]
        )
        np.testing.assert_allclose(result_mean[i], expected_mean, atol=1e-10)
        np.testing.assert_allclose(
            result_covariance[i], jittered(expected_covariance), atol=1e-10
        )


def test_batch_form_has_the_sequential_forms_gradients():
    values = problem(13)
    addresses = np.random.default_rng(14).normal(size=(2, 5, 3))
    codes, mean, covariance = map(tf.constant, values)
    gradients = []
    for function in (batch_write, ops.sequential_write):
        inputs = (codes, tf.constant(addresses), tf.ones((2, 5), "float64"))
        with tf.GradientTape() as tape:
            tape.watch([codes, inputs[1], mean, covariance])
            results = function(*inputs, mean, covariance, VARIANCE)
            loss = sum(tf.reduce_sum(tf.sin(value)) for value in results)
        gradients.append(
            tape.gradient(loss, [codes, inputs[1], mean, covariance])
        )
    for batch, sequential in zip(*gradients, strict=True):
        # A covariance is symmetric: only that part of its gradient counts.
        if batch.shape[-1] == batch.shape[-2]:
            batch, sequential = (
                0.5 * (g + tf.linalg.matrix_transpose(g))
                for g in (batch, sequential)
            )
        np.testing.assert_allclose(batch, sequential, atol=1e-8)


@pytest.mark.parametrize("iterations", [2, 3])
def test_iterations_all_update_the_memory_before_the_code(iterations):
    codes, mean, covariance = problem(15)
    weights = tf.ones((2, 5), "float64")
    result_mean, result_covariance = ops.kalman_write(
        *map(tf.constant, (codes, weights, mean, covariance)),
        VARIANCE,
        num_iterations=iterations,
    )
    for i in range(2):
        before, spread = mean[i], covariance[i]
        for code in codes[i]:
            new = before
            for _ in range(iterations):
                new, new_spread = condition(
                    ridge(code, new)[None], code[None], before, spread
                )
            before, spread = new, new_spread
        np.testing.assert_allclose(result_mean[i], before, atol=1e-10)
        np.testing.assert_allclose(
            result_covariance[i], jittered(spread), atol=1e-10
        )


def test_ridge_of_the_address_is_not_the_noise_of_the_update():
    codes, mean, covariance = problem(16, codes=1)
    result_mean, _ = ops.kalman_write(
        *map(tf.constant, (codes, np.ones((2, 1)), mean, covariance)),
        VARIANCE,
        ridge=2.0,
    )
    for i in range(2):
        gram = mean[i] @ mean[i].T + 2.0 * np.eye(3)
        address = codes[i] @ mean[i].T @ np.linalg.inv(gram)
        expected, _ = condition(address, codes[i], mean[i], covariance[i])
        np.testing.assert_allclose(result_mean[i], expected, atol=1e-10)


def test_write_depends_on_the_order():
    codes, mean, covariance = problem(3)
    forward, _ = write(codes, mean, covariance)
    backward, _ = write(codes[:, ::-1], mean, covariance)
    assert np.max(np.abs(forward - backward)) > 1e-2


def test_weight_zero_is_an_absent_code():
    codes, mean, covariance = problem(4)
    weights = np.array([[1.0, 0.0, 1.0, 0.0, 1.0]] * 2)
    masked = write(codes, mean, covariance, weights)
    present = write(codes[:, ::2], mean, covariance)
    for value, expected in zip(masked, present, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-12)


def test_nothing_written_is_the_prior():
    codes, mean, covariance = problem(5)
    result_mean, result_covariance = write(
        codes, mean, covariance, np.zeros((2, 5))
    )
    np.testing.assert_allclose(result_mean, mean, atol=1e-12)
    np.testing.assert_allclose(
        result_covariance,
        [jittered(each) for each in covariance],
        atol=1e-12,
    )


def test_covariance_stays_positive_after_200_writes_in_float32():
    codes, mean, covariance = problem(6, codes=200, rows=6, columns=8)
    # A large prior variance and repeated codes: the worst cancellation.
    codes[:, 1::2] = codes[:, ::2]
    _, result = write(codes, mean, 1e5 * covariance, dtype="float32")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.swapaxes(result, -1, -2))
    assert np.linalg.eigvalsh(result).min() > 0.0
    factor = keras.ops.cholesky(tf.constant(result))
    assert np.all(np.isfinite(factor))


def test_a_function_of_unknown_length_and_its_gradients():
    signature = [
        tf.TensorSpec((None, None, 4), tf.float64),
        tf.TensorSpec((2, 3, 4), tf.float64),
        tf.TensorSpec((2, 3, 3), tf.float64),
    ]

    @tf.function(input_signature=signature)
    def compiled(*values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            weights = tf.ones(tf.shape(values[0])[:2], "float64")
            result = ops.kalman_write(values[0], weights, *values[1:], VARIANCE)
            loss = sum(tf.reduce_sum(tf.square(value)) for value in result)
        return result, tape.gradient(loss, values)

    for count in (1, 3):
        values = problem(8, codes=count)
        result, gradients = compiled(*values)
        for value, expected in zip(result, write(*values), strict=True):
            np.testing.assert_allclose(value, expected, atol=1e-12)
        for gradient in gradients:
            assert np.all(np.isfinite(gradient)) and np.any(gradient)


def test_the_graph_does_not_grow_with_the_number_of_codes():
    """One traced loop, no unrolled one."""

    def operations(count):
        values = [tf.constant(value) for value in problem(9, codes=count)]
        weights = tf.ones((2, count), "float64")
        graph = (
            tf.function(ops.kalman_write)
            .get_concrete_function(values[0], weights, *values[1:], VARIANCE)
            .graph.as_graph_def()
        )
        bodies = graph.library.function
        return len(graph.node) + sum(len(each.node_def) for each in bodies)

    assert operations(64) == operations(3)
