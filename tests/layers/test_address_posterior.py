"""The posterior of an address against TensorFlow Probability."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm import ops
from kgpm.errors import UserError
from kgpm.layers import AddressPosterior

tfd = tfp.distributions
NOISE = 0.7


def make(size=3, posterior="per_slot", **arguments):
    layer = AddressPosterior(
        size, NOISE, posterior, dtype="float64", **arguments
    )
    layer.build()
    if layer.weights:
        layer.w_log_variance.assign(np.linspace(-3.0, 0.5, size))
    return layer


def problem(episodes=2, queries=4, size=3, columns=5):
    rng = np.random.default_rng(1)
    return (
        tf.constant(rng.normal(size=(episodes, queries, size))),
        tf.constant(rng.normal(size=(episodes, size, columns))),
    )


def around(layer, memory, seed, w_mean):
    """A draw around a mean that is given, where codes have no effect."""
    shape = (*w_mean.shape[:2], memory.shape[-1])
    return layer(tf.zeros(shape, "float64"), memory, seed=seed, w_mean=w_mean)


def exact_posterior(code, memory):
    """Mean and covariance of w given z, by conditioning the joint Gaussian."""
    cross = memory.T
    marginal = memory.T @ memory + NOISE**2 * np.eye(memory.shape[1])
    gain = np.linalg.solve(marginal, cross).T
    return gain @ code, np.eye(len(memory)) - gain @ cross


def distribution(layer, w_mean, memory):
    if layer.posterior == "per_slot":
        scale = np.exp(0.5 * layer.w_log_variance.numpy())
        return tfd.MultivariateNormalDiag(w_mean, scale)
    factors = [
        np.linalg.cholesky(exact_posterior(np.zeros(m.shape[1]), m)[1])
        for m in memory.numpy()
    ]
    return tfd.MultivariateNormalTriL(w_mean, np.stack(factors)[:, None])


def prior(size=3):
    return tfd.MultivariateNormalDiag(np.zeros(size), np.ones(size))


@pytest.mark.parametrize("posterior", ["per_slot", "analytic"])
def test_divergence_is_that_of_probability(posterior):
    layer = make(posterior=posterior)
    w_mean, memory = problem()
    draw = around(layer, memory, 1, w_mean)
    assert set(draw.kl) == {"kl_w"}
    expected = tfd.kl_divergence(distribution(layer, w_mean, memory), prior())
    np.testing.assert_allclose(draw.kl["kl_w"], expected, rtol=1e-10)


@pytest.mark.parametrize("posterior", ["per_slot", "analytic"])
def test_log_ratio_is_that_of_the_draw(posterior):
    layer = make(posterior=posterior)
    w_mean, memory = problem()
    draw = around(layer, memory, 2, w_mean)
    q = distribution(layer, w_mean, memory)
    expected = prior().log_prob(draw.latents) - q.log_prob(draw.latents)
    np.testing.assert_allclose(draw.log_ratio, expected, rtol=1e-10)


@pytest.mark.parametrize("posterior", ["per_slot", "analytic"])
def test_minus_log_ratio_averages_to_the_divergence(posterior):
    layer = make(posterior=posterior)
    w_mean, memory = problem(1, 1)
    count = 20_000
    draw = around(layer, memory, 3, tf.repeat(w_mean, count, axis=1))
    values = -draw.log_ratio.numpy()
    error = values.std() / np.sqrt(count)
    assert abs(values.mean() - draw.kl["kl_w"][0, 0]) < 4 * error


def test_analytic_covariance_is_the_exact_posterior():
    layer = make(posterior="analytic")
    count = 40_000
    _, memory = problem()
    mean = tf.zeros((2, count, 3), "float64")
    draw = around(layer, memory, 4, mean)
    for i in range(2):
        _, expected = exact_posterior(np.zeros(5), memory[i].numpy())
        diagonal = np.diag(expected)
        error = np.cov(draw.latents[i].numpy().T) - expected
        scale = np.sqrt((expected**2 + np.outer(diagonal, diagonal)) / count)
        assert np.max(np.abs(error) / scale) < 4.5


@pytest.mark.parametrize("posterior", ["per_slot", "analytic"])
def test_the_mean_is_by_default_the_exact_posteriors(posterior):
    layer = make(posterior=posterior)
    _, memory = problem()
    codes = tf.constant(np.random.default_rng(3).normal(size=(2, 4, 5)))
    mean = [
        [exact_posterior(code, m)[0] for code in episode]
        for episode, m in zip(codes.numpy(), memory.numpy(), strict=True)
    ]
    draw = layer(codes, memory, seed=1)
    expected = around(layer, memory, 1, tf.constant(np.stack(mean)))
    for value, other in zip(
        tf.nest.flatten(draw), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_allclose(value, other, rtol=1e-9)


@pytest.mark.parametrize("posterior", ["per_slot", "analytic"])
def test_noise_is_drawn_for_each_slot_code_and_episode(posterior):
    episodes, queries, size = 40, 60, 4
    layer = make(size, posterior=posterior)
    rng = np.random.default_rng(2)
    w_mean = tf.constant(rng.normal(size=(episodes, queries, size)))
    # Orthogonal rows: the exact posterior's slots are uncorrelated too.
    memory = tf.eye(size, 6, batch_shape=[episodes], dtype="float64")
    draw = around(layer, memory, 5, w_mean)
    noise = (draw.latents - w_mean).numpy()
    if posterior == "per_slot":
        variances = np.exp(layer.w_log_variance.numpy())
    else:
        variances = np.full(size, 1.0 / (1.0 + NOISE**-2))
    count = episodes * queries
    measured = np.mean(np.square(noise), axis=(0, 1))
    np.testing.assert_allclose(
        measured, variances, rtol=4.5 * (2 / count) ** 0.5
    )
    noise = noise / np.sqrt(variances)
    # Each number's neighbours in every other slot, code and episode.
    for axis, length in enumerate(noise.shape):
        for shift in {1, 2, length // 2}:
            product = noise * np.roll(noise, shift, axis)
            assert abs(product.mean()) < 4.5 / np.sqrt(noise.size)
    assert len(np.unique(noise)) == noise.size


def test_shared_noise_is_one_number_and_documented_as_no_bound():
    layer = make(shared_noise=True)
    w_mean, memory = problem()
    draw = around(layer, memory, 6, w_mean)
    scale = np.exp(0.5 * layer.w_log_variance.numpy())
    noise = (draw.latents - w_mean) / scale
    np.testing.assert_allclose(noise, noise[0, 0, 0] + np.zeros((2, 4, 3)))
    independent = around(make(), memory, 6, w_mean)
    # The charge is that for independent numbers, as in the published code.
    np.testing.assert_allclose(draw.kl["kl_w"], independent.kl["kl_w"])
    assert "**not a bound**" in " ".join(AddressPosterior.__doc__.split())
    assert not AddressPosterior(3, NOISE).shared_noise


def test_seed_decides_the_draw():
    layer = make()
    w_mean, memory = problem()
    first = around(layer, memory, 1, w_mean).latents
    np.testing.assert_array_equal(
        first, around(layer, memory, ops.make_seed(1), w_mean).latents
    )
    assert not np.any(first == around(layer, memory, 2, w_mean).latents)


def test_log_variance_is_clipped():
    layer = make()
    w_mean, memory = problem()
    layer.w_log_variance.assign([-1000.0, 1000.0, 0.0])
    extreme = around(layer, memory, 1, w_mean)
    layer.w_log_variance.assign([-10.0, 4.0, 0.0])
    for value, expected in zip(
        tf.nest.flatten(extreme),
        tf.nest.flatten(around(layer, memory, 1, w_mean)),
        strict=True,
    ):
        np.testing.assert_array_equal(value, expected)


def test_initial_variance():
    layer = AddressPosterior(3, NOISE, "per_slot")
    layer.build()
    np.testing.assert_allclose(layer.w_log_variance, [-2.0] * 3)


def test_arguments_that_are_refused():
    with pytest.raises(UserError, match="analytic, per_slot, received 'full'"):
        AddressPosterior(3, NOISE, "full")
    with pytest.raises(UserError, match="received 'isotropic'"):
        AddressPosterior(3, NOISE, "isotropic")
    with pytest.raises(
        UserError, match="shared_noise with posterior='per_slot"
    ):
        AddressPosterior(3, NOISE, "analytic", shared_noise=True)


def draw_and_gradients(dtype, codes, memory, noise, monkeypatch):
    layer = AddressPosterior(noise.shape[-1], NOISE, dtype=dtype)
    layer.build()
    # Draws of one seed differ between dtypes.
    monkeypatch.setattr(layer, "_noise", lambda *_: tf.constant(noise, dtype))
    tensors = [tf.constant(value, dtype) for value in (codes, memory)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        draw = layer(*tensors, seed=1)
        loss = tf.reduce_sum(draw.log_ratio) + tf.reduce_sum(
            draw.latents * draw.kl["kl_w"][..., None]
        )
    assert draw.latents.dtype == dtype
    gradients = tape.gradient(loss, tensors)
    return draw.latents, draw.kl["kl_w"], draw.log_ratio, *gradients


@pytest.mark.parametrize("rank", [20, 150])
@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_a_large_memory_in_float32(scale, rank, monkeypatch):
    """As in float64, also where rows are so long that float32 has no digits."""
    size, columns = 150, 160
    rng = np.random.default_rng(5)
    memory = rng.normal(size=(size, rank)) @ rng.normal(size=(rank, columns))
    memory = (scale * memory / np.sqrt(rank)).astype(np.float32)[None]
    memory[:, :20] *= 0.01
    codes = rng.normal(size=(1, 4, columns)).astype(np.float32)
    noise = rng.normal(size=(1, 4, size))
    single, double = (
        draw_and_gradients(dtype, codes, memory, noise, monkeypatch)
        for dtype in ("float32", "float64")
    )
    for value, expected in zip(single, double, strict=True):
        error = np.linalg.norm(np.float64(value) - expected)
        assert error < 2e-3 * np.linalg.norm(expected)
