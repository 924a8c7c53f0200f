"""Draws, divergences and the sequential writer of a memory."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm.errors import UserError
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


@pytest.mark.parametrize("writer", ["direct", "sequential"])
def test_log_ratio_and_divergence_are_those_of_the_address(writer):
    # So little noise that the read-out tells its address.
    layer = make(observation_noise=1e-9)
    layer.address_posterior.w_log_variance.assign([-1.0, 0.3, -2.0])
    scale = np.exp([-0.5, 0.15, -1.0])
    codes = draw_codes(5)
    memory = {"mean": tf.constant(draw_codes(K, seed=6))}
    if writer == "sequential":
        # A covariance of nothing draws the mean.
        memory["covariance"] = 1e-24 * tf.eye(
            K, batch_shape=[2], dtype="float64"
        )
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
    assert not PseudoInverseMemory(K, C).shared_noise


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


def test_sequential_divergence_is_that_of_the_stacked_memory():
    layer = make(writer="sequential")
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


def test_sequential_write_shrinks_the_covariance():
    layer = make(writer="sequential", observation_noise=0.3)
    prior = layer.prior(2)["covariance"].numpy()
    posterior = layer.write(draw_codes(5))["covariance"].numpy()
    assert np.all(np.linalg.eigvalsh(prior - posterior) > 1e-4)
    assert np.all(np.linalg.eigvalsh(posterior) > 0.0)


def test_reads_draw_the_memory_from_its_posterior():
    # Enough queries, and little enough noise, to solve for the drawn memory.
    layer = make(writer="sequential", observation_noise=1e-9)
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
    quiet = make(writer="sequential", observation_noise=1e-9)
    loud = make(writer="sequential", observation_noise=1.0)
    codes = np.zeros((500, 8, C))
    axes = {"mean": tf.eye(K, C, batch_shape=[500], dtype="float64")}
    memory = {
        "mean": tf.zeros_like(axes["mean"]),
        "covariance": tf.eye(K, batch_shape=[500], dtype="float64"),
    }
    read = quiet.sample(codes, axes, seed=11).latents.numpy()
    noise = loud.sample(codes, axes, seed=11).latents.numpy() - read
    address = read[..., :K]
    latents = quiet.sample(codes, memory, seed=11).latents
    drawn = tf.linalg.lstsq(address, latents).numpy().ravel()
    assert drawn.std() == pytest.approx(1.0, abs=0.05)
    for other in (address, noise):
        correlation = np.corrcoef(drawn, other.ravel()[: drawn.size])[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(drawn.size)


def test_the_direct_memory_has_no_divergence():
    layer = make()
    with pytest.raises(UserError, match="sequential.*has no density"):
        layer.kl(layer.prior(2))


def test_the_sequential_memory_has_no_statistics():
    layer = make(writer="sequential")
    statistics = layer.accumulate(draw_codes(3))
    with pytest.raises(UserError, match="the order of the codes"):
        layer.write_statistics(statistics)
