"""The memory that is written image by image, against NumPy and TFP."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm import ops
from kgpm.errors import UserError
from kgpm.layers import SequentialMemory

tfd = tfp.distributions
K, C = 3, 6


def make(posterior="per_slot", **arguments):
    layer = SequentialMemory(
        K, C, posterior=posterior, dtype="float64", **arguments
    )
    layer.build()
    layer.memory_mean.assign(np.random.default_rng(1).normal(size=(K, C)))
    return layer


def quiet(layer):
    """With so little read noise that a read-out tells its address."""
    layer.observation_noise = layer.address_posterior.observation_noise = 1e-9
    return layer


def draw_codes(count, seed=2, episodes=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(episodes, count, C))


def test_a_write_conditions_on_each_code_in_its_order():
    """By hand: R and U of a Gaussian given z = w R + noise."""
    layer = make(observation_noise=0.3)
    layer.memory_log_variance.assign(-0.4)
    codes = draw_codes(4)
    memory = layer.write(codes)
    for i in range(2):
        mean = layer.memory_mean.numpy()
        covariance = np.exp(-0.4) * np.eye(K)
        for code in codes[i]:
            # Addressed as in a draw, in the memory so far.
            gram = mean @ mean.T + 0.09 * np.eye(K)
            w = np.linalg.solve(gram, mean @ code)
            gain = covariance @ w / (w @ covariance @ w + 0.09)
            mean = mean + np.outer(gain, code - w @ mean)
            covariance = covariance - np.outer(gain, covariance @ w)
        np.testing.assert_allclose(memory["mean"][i], mean, rtol=1e-5)
        np.testing.assert_allclose(
            memory["covariance"][i], covariance, rtol=1e-4, atol=1e-5
        )


def test_prior_of_unknown_batch_size():
    layer = make()
    layer.memory_log_variance.assign(0.7)
    prior = tf.function(
        layer.prior, input_signature=[tf.TensorSpec((), tf.int32)]
    )(5)
    shapes = {name: value.shape for name, value in prior.items()}
    assert shapes == {"mean": (5, K, C), "covariance": (5, K, K)}
    np.testing.assert_array_equal(prior["mean"][2], layer.memory_mean)
    np.testing.assert_allclose(
        prior["covariance"], [np.exp(0.7) * np.eye(K)] * 5, rtol=1e-12
    )
    assert layer.memory_floats(7) == K * C + K * K


def test_prior_variance_is_clipped():
    layer = make()
    for value, expected in ((-50.0, -12.0), (50.0, 12.0)):
        layer.memory_log_variance.assign(value)
        np.testing.assert_allclose(
            layer.prior(1)["covariance"][0], np.exp(expected) * np.eye(K)
        )


@pytest.mark.parametrize("count", [4, 12])
def test_weight_zero_is_an_absent_row(count):
    layer = make()
    codes = draw_codes(count)
    weights = np.ones((2, count))
    weights[:, 1::2] = 0.0
    # What lies in an absent row must not matter.
    codes[:, 1::2] *= 100.0
    present = layer.write(codes[:, ::2])
    for name, value in layer.write(codes, weights).items():
        np.testing.assert_allclose(value, present[name], atol=1e-6)


def test_write_noise_is_for_training_and_one_draw():
    layer, codes = make(write_noise=0.4), draw_codes(5)
    clean = layer.write(codes)["mean"]
    np.testing.assert_array_equal(layer.write(codes, seed=3)["mean"], clean)
    noisy = layer.write(codes, seed=3, training=True)["mean"]
    assert np.max(np.abs(noisy - clean)) > 1e-3
    noise = 0.4 * ops.normal(codes.shape, 3, "float64")
    np.testing.assert_allclose(
        noisy, layer.write(codes + noise)["mean"], atol=1e-12
    )


@pytest.mark.slow
def test_unknown_number_of_codes_inside_a_function():
    layer = make()

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, C), tf.float64),
            tf.TensorSpec((None, None), tf.float64),
        ]
    )
    def write_and_read(codes, weights):
        memory = layer.write(codes, weights)
        return layer.read(codes, memory)

    for count in (2, 12):
        codes = draw_codes(count)
        weights = np.ones((2, count))
        weights[0, -1] = 0.0
        expected = layer.read(codes, layer.write(codes, weights))
        np.testing.assert_allclose(
            write_and_read(codes, weights), expected, atol=1e-9
        )


def test_mean_reads_project_and_draws_shrink():
    """The two means of an address: z R^+, and the exact posterior's."""
    noise = 0.8
    layer = make("analytic", observation_noise=noise)
    memory = {"mean": tf.constant(draw_codes(K, seed=6))}
    codes = draw_codes(5)
    inverse = np.linalg.pinv(memory["mean"])
    np.testing.assert_allclose(
        layer.read(codes, memory), codes @ inverse @ memory["mean"], atol=1e-6
    )
    np.testing.assert_allclose(
        layer.latent_energy(codes, memory),
        0.5 * np.square(codes @ inverse).sum(-1),
        atol=1e-6,
    )
    draw = layer.sample(codes, memory, seed=4)
    prior = tfd.MultivariateNormalTriL(np.zeros(K), np.eye(K))
    for i in range(2):
        mean = memory["mean"][i].numpy()
        precision = np.eye(K) + mean @ mean.T / noise**2
        covariance = np.linalg.inv(precision)
        exact = tfd.MultivariateNormalTriL(
            codes[i] @ mean.T @ covariance / noise**2,
            np.linalg.cholesky(covariance),
        )
        np.testing.assert_allclose(
            draw.kl["kl_w"][i], tfd.kl_divergence(exact, prior)
        )


def test_log_ratio_and_divergence_are_those_of_the_address():
    layer = quiet(make())
    layer.address_posterior.w_log_variance.assign([-1.0, 0.3, -2.0])
    scale = np.exp([-0.5, 0.15, -1.0])
    codes = draw_codes(5)
    memory = {
        "mean": tf.constant(draw_codes(K, seed=6)),
        # A covariance of nothing draws the mean.
        "covariance": 1e-24 * tf.eye(K, batch_shape=[2], dtype="float64"),
    }
    draw = layer.sample(codes, memory, seed=5)
    inverse = np.linalg.pinv(memory["mean"])
    address = draw.latents @ inverse
    q = tfd.MultivariateNormalDiag(codes @ inverse, scale)
    p = tfd.MultivariateNormalDiag(np.zeros(K), np.ones(K))
    np.testing.assert_allclose(
        draw.log_ratio, p.log_prob(address) - q.log_prob(address), atol=1e-5
    )
    np.testing.assert_allclose(
        draw.kl["kl_w"], tfd.kl_divergence(q, p), atol=1e-5
    )


def test_divergence_is_that_of_the_stacked_memory():
    layer = make()
    layer.memory_log_variance.assign(0.4)
    memory = layer.write(draw_codes(5))

    def stacked(memory):
        factor = np.stack(
            [
                np.linalg.cholesky(np.kron(u, np.eye(C)))
                for u in memory["covariance"].numpy()
            ]
        )
        return tfd.MultivariateNormalTriL(
            tf.reshape(memory["mean"], (-1, K * C)), factor
        )

    expected = tfd.kl_divergence(stacked(memory), stacked(layer.prior(2)))
    np.testing.assert_allclose(layer.kl(memory), expected, rtol=1e-9)
    unwritten = layer.kl(layer.prior(2))
    np.testing.assert_allclose(unwritten, 0.0, atol=1e-9)


def test_a_write_shrinks_the_covariance():
    layer = make(observation_noise=0.3)
    prior = layer.prior(2)["covariance"].numpy()
    posterior = layer.write(draw_codes(5))["covariance"].numpy()
    assert np.all(np.linalg.eigvalsh(prior - posterior) > 1e-4)
    assert np.all(np.linalg.eigvalsh(posterior) > 0.0)


def test_reads_draw_the_memory_from_its_posterior():
    # Enough queries, and little enough noise, to solve for the drawn memory.
    layer = quiet(make())
    rng = np.random.default_rng(10)
    episodes, queries = 20_000, 8
    mean = np.broadcast_to(rng.normal(size=(K, C)), (episodes, K, C))
    root = rng.normal(size=(K, K))
    covariance = root @ root.T + 0.2 * np.eye(K)
    known = {"mean": tf.constant(mean)}
    memory = dict(
        known,
        covariance=tf.constant(np.broadcast_to(covariance, (episodes, K, K))),
    )
    # Codes of zero have the mean address zero in any memory, so the same
    # seed gives the same addresses for the known memory and for the drawn.
    codes = np.zeros((episodes, queries, C))
    address = layer.sample(codes, known, seed=11).latents @ np.linalg.pinv(
        mean[0]
    )
    latents = layer.sample(codes, memory, seed=11).latents
    drawn = tf.linalg.lstsq(address, latents).numpy() - mean
    # Standard errors of a mean and of covariances.
    diagonal = np.diag(covariance)
    deviation = np.abs(drawn.mean(axis=0)).max(axis=1)
    assert np.all(deviation < 4.5 * np.sqrt(diagonal / episodes))
    full = np.kron(covariance, np.eye(C))
    flat = drawn.reshape(episodes, -1)
    scale = np.outer(np.diag(full), np.diag(full))
    spread = np.sqrt((full**2 + scale) / episodes)
    assert np.max(np.abs(flat.T @ flat / episodes - full) / spread) < 4.8


def test_the_memorys_noise_is_not_another_stream_again():
    # With next to no read noise a read shows its address, or its memory.
    silent, loud = quiet(make()), make(observation_noise=1.0)
    codes = np.zeros((500, 8, C))
    axes = {"mean": tf.eye(K, C, batch_shape=[500], dtype="float64")}
    memory = {
        "mean": tf.zeros_like(axes["mean"]),
        "covariance": tf.eye(K, batch_shape=[500], dtype="float64"),
    }
    read = silent.sample(codes, axes, seed=11).latents.numpy()
    noise = loud.sample(codes, axes, seed=11).latents.numpy() - read
    address = read[..., :K]
    latents = silent.sample(codes, memory, seed=11).latents
    drawn = tf.linalg.lstsq(address, latents).numpy().ravel()
    assert drawn.std() == pytest.approx(1.0, abs=0.05)
    for other in (address, noise):
        correlation = np.corrcoef(drawn, other.ravel()[: drawn.size])[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(drawn.size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(memory_size=C), "memory_size < code_size.*memory_size=6"),
        (dict(memory_size=0), "memory_size and code_size of at least 1"),
        (dict(posterior="full"), "analytic, per_slot, received 'full'"),
        (dict(observation_noise=0.0), "observation_noise > 0"),
        (dict(observation_noise=500), "between 0.0025 and 403, received 500"),
        (dict(write_noise=-0.1), "write_noise of at least 0"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        SequentialMemory(**{"memory_size": K, "code_size": C, **arguments})
