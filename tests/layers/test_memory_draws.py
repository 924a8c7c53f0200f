"""Draws and divergences of a memory that is written by a pseudo-inverse."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm.layers import PseudoInverseMemory

tfd = tfp.distributions
K, C = 3, 6


def make(read_ridge="tiny", posterior="per_slot", **arguments):
    layer = PseudoInverseMemory(
        K,
        C,
        read_ridge=read_ridge,
        posterior=posterior,
        dtype="float64",
        **arguments,
    )
    layer.build()
    layer.memory_mean.assign(np.random.default_rng(1).normal(size=(K, C)))
    return layer


def draw_codes(count, seed=2, episodes=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(episodes, count, C))


def address_means(layer, memory, codes):
    """Mean address of q, seen through public draws of one seed.

    The noise does not depend on the codes, so that it cancels against the
    draws for codes of zero.
    """
    draw = layer.sample(codes, memory, seed=3)
    none = layer.sample(np.zeros_like(codes), memory, seed=3)
    difference = draw.latents - none.latents
    return difference @ np.linalg.pinv(memory["mean"])


def exact_posterior(code, memory, noise):
    """Mean and covariance of w given z, by conditioning the joint Gaussian."""
    marginal = memory.T @ memory + noise**2 * np.eye(C)
    gain = np.linalg.solve(marginal, memory.T).T
    return gain @ code, np.eye(K) - gain @ memory.T


def test_bayes_ridge_and_analytic_covariance_are_the_exact_posterior():
    noise = 0.8
    layer = make(
        read_ridge="bayes", posterior="analytic", observation_noise=noise
    )
    codes = draw_codes(4)
    memory = layer.write(codes)
    means = address_means(layer, memory, codes)
    draw = layer.sample(codes, memory, seed=4)
    prior = tfd.MultivariateNormalTriL(np.zeros(K), np.eye(K))
    for i in range(2):
        for t in range(4):
            mean, covariance = exact_posterior(
                codes[i, t], memory["mean"][i].numpy(), noise
            )
            np.testing.assert_allclose(means[i, t], mean, atol=1e-8)
            exact = tfd.MultivariateNormalTriL(
                mean, np.linalg.cholesky(covariance)
            )
            np.testing.assert_allclose(
                draw.kl["kl_w"][i, t], tfd.kl_divergence(exact, prior)
            )


def test_tiny_ridge_is_the_pseudo_inverse():
    layer = make(observation_noise=0.8)
    codes = draw_codes(4)
    memory = layer.write(codes)
    np.testing.assert_allclose(
        address_means(layer, memory, codes),
        codes @ np.linalg.pinv(memory["mean"]),
        atol=1e-6,
    )


def test_log_ratio_and_divergence_are_those_of_the_address():
    # So little noise that the read-out tells its address.
    layer = make(observation_noise=1e-9)
    layer.address_posterior.w_log_variance.assign([-1.0, 0.3, -2.0])
    scale = np.exp([-0.5, 0.15, -1.0])
    codes = draw_codes(5)
    memory = {"mean": tf.constant(draw_codes(K, seed=6))}
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


def test_read_noise_has_its_variance_and_is_independent_of_the_address():
    layer = make(observation_noise=0.6)
    layer.address_posterior.w_log_variance.assign([-1.0, 0.3, -2.0])
    mean = np.random.default_rng(7).normal(size=(K, C))
    count = 30_000
    memory = {"mean": tf.constant(mean[None])}
    draw = layer.sample(np.zeros((1, count, C)), memory, seed=8)
    variance = np.exp([-1.0, 0.3, -2.0])
    expected = mean.T @ (variance[:, None] * mean) + 0.36 * np.eye(C)
    diagonal = np.diag(expected)
    error = np.cov(draw.latents[0].numpy().T) - expected
    spread = np.sqrt((expected**2 + np.outer(diagonal, diagonal)) / count)
    assert np.max(np.abs(error) / spread) < 4.5


def test_read_noise_is_not_the_addresss_stream_again():
    # Rows along axes: the last three columns show the read noise alone.
    layer = make(observation_noise=1e-4)
    scale = np.exp(0.5 * layer.address_posterior.w_log_variance.numpy())
    count = 5000
    memory = {"mean": tf.eye(K, C, batch_shape=[1], dtype="float64")}
    draw = layer.sample(np.zeros((1, count, C)), memory, seed=8)
    address = (draw.latents.numpy()[..., :K] / scale).ravel()
    noise = (draw.latents.numpy() / 1e-4).ravel()[: address.size]
    shown = np.arange(address.size) % C >= K
    correlation = np.corrcoef(address[shown], noise[shown])[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(shown.sum())


def test_shared_noise_moves_all_addresses_alike():
    layer = make(observation_noise=1e-9, shared_noise=True)
    layer.address_posterior.w_log_variance.assign([-1.0, 0.3, -2.0])
    memory = {"mean": tf.constant(draw_codes(K, seed=6))}
    draw = layer.sample(np.zeros((2, 5, C)), memory, seed=5)
    address = draw.latents @ np.linalg.pinv(memory["mean"])
    number = address / np.exp([-0.5, 0.15, -1.0])
    np.testing.assert_allclose(number, number[0, 0, 0], atol=1e-5)
    assert "**not a bound**" in " ".join(PseudoInverseMemory.__doc__.split())
    assert "does not draw" in layer.why_no_bound
    assert not make().why_no_bound


def test_sample_is_decided_by_its_seed():
    layer, codes = make(), draw_codes(4)
    memory = layer.write(codes)
    first = layer.sample(codes, memory, seed=1)
    again = layer.sample(codes, memory, seed=tf.constant([1, 0]))
    np.testing.assert_array_equal(first.latents, again.latents)
    other = layer.sample(codes, memory, seed=2)
    assert not np.any(first.latents == other.latents)
    compiled = tf.function(layer.sample)(codes, memory, tf.constant([1, 0]))
    np.testing.assert_allclose(compiled.latents, first.latents, atol=1e-10)


def test_prior_draws_have_the_memorys_covariance():
    layer = make()
    mean = np.random.default_rng(7).normal(size=(1, K, C))
    count = 30_000
    draws = layer.sample_prior({"mean": tf.constant(mean)}, count, seed=9)
    assert draws.shape == (1, count, C)
    expected = mean[0].T @ mean[0]
    diagonal = np.diag(expected)
    error = np.cov(draws[0].numpy().T) - expected
    spread = np.sqrt((expected**2 + np.outer(diagonal, diagonal)) / count)
    assert np.max(np.abs(error) / spread) < 4.5
    assert np.linalg.matrix_rank(draws[0, :20]) == K
