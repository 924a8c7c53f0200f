"""Sequential writing against dense Bayesian conditioning."""

import keras
import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.ops import kalman

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
            result_covariance[i],
            expected_covariance + kalman.COVARIANCE_JITTER * np.eye(3),
            atol=1e-10,
        )


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
    jitter = kalman.COVARIANCE_JITTER * np.eye(3)
    np.testing.assert_allclose(
        result_covariance, covariance + jitter, atol=1e-12
    )


def test_covariance_stays_positive_after_200_writes_in_float32():
    codes, mean, covariance = problem(6, codes=200, rows=6, columns=8)
    # A large prior variance and repeated codes: the worst cancellation.
    codes[:, 1::2] = codes[:, ::2]
    _, result = write(codes, mean, 100.0 * covariance, dtype="float32")
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
