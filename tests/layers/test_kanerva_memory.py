"""The Kanerva Machine's memory against NumPy, TFP and Monte Carlo."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm import ops
from kgpm.errors import UserError
from kgpm.layers import KanervaMemory

tfd = tfp.distributions
ROWS, SIZE, KEY = 4, 5, 3
NOISE = 0.8


def make(**options):
    layer = KanervaMemory(
        ROWS,
        SIZE,
        key_size=KEY,
        hidden_size=6,
        observation_noise=NOISE,
        dtype="float64",
        **options,
    )
    layer.build()
    rng = np.random.default_rng(1)
    layer.set_weights(
        [0.5 * rng.normal(size=weight.shape) for weight in layer.weights]
    )
    if layer.learn_observation_noise:
        layer.noise_log_variance.assign(2.0 * np.log(NOISE))
    return layer


def codes(episodes=2, count=6, seed=2):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(episodes, count, SIZE)))


def dense(network, inputs):
    kernel, bias, last, last_bias = network
    return np.maximum(inputs @ kernel + bias, 0.0) @ last + last_bias


def addresses(layer, keys):
    network = [w.numpy() for part in layer.key_network for w in part.weights]
    rows = layer.addresses.numpy()
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return dense(network, keys) @ rows.T


def test_address_is_a_mix_of_learned_unit_rows():
    layer = make()
    keys = np.random.default_rng(3).normal(size=(2, 6, KEY))
    np.testing.assert_allclose(
        layer.address(keys), addresses(layer, keys), rtol=1e-8
    )


def test_noise_free_write_is_regression_on_the_addresses():
    """Ridge regression of codes on addresses, towards the prior mean."""
    layer = make()
    written = codes()
    weights = np.ones((2, 6))
    weights[1, 3:] = 0.0
    memory = layer.write(written, weights)
    prior = layer.memory_mean.numpy()
    u0 = np.exp(float(layer.memory_log_variance))
    for i in range(2):
        present = weights[i] > 0
        keys = layer.key_head(written)[0][i].numpy()[present]
        latents = layer.write_head(written)[0][i].numpy()[present]
        w = addresses(layer, keys)
        # The same posterior as ordinary least squares on extended data.
        design = np.vstack([w / NOISE, np.eye(ROWS) / np.sqrt(u0)])
        target = np.vstack([latents / NOISE, prior / np.sqrt(u0)])
        expected = np.linalg.lstsq(design, target, rcond=None)[0]
        np.testing.assert_allclose(memory["mean"][i], expected, atol=1e-9)
        np.testing.assert_allclose(
            memory["covariance"][i],
            np.linalg.inv(design.T @ design),
            rtol=1e-5,
            atol=1e-5,
        )


def test_write_draws_keys_and_latents_from_their_posteriors():
    """Monte Carlo over seeds against the posteriors' own moments."""
    layer = make()
    written = codes(1, 1)
    many = tf.repeat(written, 20_000, axis=0)
    memory = layer.write(many, seed=4)
    free = layer.write(many[:1])
    assert np.std(memory["mean"][:, 0, 0]) > 1e-3
    # One code: R = R0 + u0 w (z - w R0) / (u0 w.w + s^2), averaged over
    # independent draws of y and z.
    key, latent = layer.key_head(written), layer.write_head(written)
    rng = np.random.default_rng(5)

    def draw(gaussian):
        mean, log_variance = (part.numpy()[0, 0] for part in gaussian)
        noise = rng.normal(size=(20_000, len(mean)))
        return mean + np.exp(0.5 * log_variance) * noise

    w, z = addresses(layer, draw(key)), draw(latent)
    prior = layer.memory_mean.numpy()
    u0 = np.exp(float(layer.memory_log_variance))
    gain = u0 * w / (u0 * (w**2).sum(1, keepdims=True) + NOISE**2)
    expected = prior + gain[:, :, None] * (z - w @ prior)[:, None]
    result = memory["mean"].numpy()
    for moment in (np.mean, np.std):
        error = np.abs(moment(result, axis=0) - moment(expected, axis=0))
        assert np.all(error < 6.0 * expected.std(axis=0) / np.sqrt(10_000))
    assert np.any(np.abs(result.mean(0) - free["mean"][0]) > 1e-3)


@pytest.mark.parametrize("learned", [True, False])
def test_divergences_and_ratio_are_those_of_the_draw(learned):
    layer = make(learn_observation_noise=learned)
    memory = layer.write(codes(), seed=1)
    queries = codes(count=4, seed=3)
    draw = layer.sample(queries, memory, seed=5)
    memory_seed, key_seed, latent_seed = ops.split_seed(ops.make_seed(5), 3)
    drawn = layer.draw(memory, memory_seed)["mean"]
    key = layer.key_head(queries)
    keys = key.sample(key_seed)
    predicted = tf.matmul(addresses(layer, keys.numpy()), drawn)
    read = layer.read_head(tf.concat([queries, predicted], axis=-1))

    def normal(mean, log_variance):
        return tfd.MultivariateNormalDiag(mean, tf.exp(0.5 * log_variance))

    q_z, q_y = normal(*read), normal(*key)
    p_z = normal(predicted, 2.0 * np.log(NOISE) + tf.zeros_like(predicted))
    p_y = normal(tf.zeros_like(keys), tf.zeros_like(keys))
    assert set(draw.kl) == {"kl_z", "kl_y"}
    # A draw and not the mean: its noise is what the divergence pays for.
    np.testing.assert_allclose(draw.latents, read.sample(latent_seed))
    assert np.all(np.abs(draw.latents - read.mean) > 0.0)
    np.testing.assert_allclose(draw.kl["kl_z"], tfd.kl_divergence(q_z, p_z))
    np.testing.assert_allclose(draw.kl["kl_y"], tfd.kl_divergence(q_y, p_y))
    np.testing.assert_allclose(
        draw.log_ratio,
        p_z.log_prob(draw.latents)
        + p_y.log_prob(keys)
        - q_z.log_prob(draw.latents)
        - q_y.log_prob(keys),
        atol=1e-8,
    )


def test_keys_cost_nothing_where_they_are_standard_normal():
    layer = make()
    layer.key_head.set_weights([0.0 * w for w in layer.key_head.get_weights()])
    # The raw value of a scale of one, where a scale of 0.2 is that of zero.
    raw = np.log(np.expm1(1.0)) - np.log(np.expm1(0.2))
    layer.key_head.output_layer.bias.assign([0.0] * KEY + [raw] * KEY)
    memory = layer.write(codes(), seed=1)
    kl_y = layer.sample(codes(), memory, seed=2).kl["kl_y"]
    np.testing.assert_allclose(kl_y, np.zeros((2, 6)), atol=1e-5)


def test_a_write_and_a_read_by_one_seed_share_no_noise(monkeypatch):
    """A key shared with the write would tell of M what kl_y does not charge."""
    noises = []

    def record(shape, seed, dtype):
        noises.append(tuple(np.asarray(seed)))
        return ops.normal(shape, seed, dtype)

    monkeypatch.setattr("kgpm.layers.networks.gaussian_head.normal", record)
    monkeypatch.setattr("kgpm.layers.memories.matrix_normal.normal", record)
    layer = make()
    memory = layer.write(codes(), seed=7)
    assert len(noises) == 2  # y and z
    layer.sample(codes(), memory, seed=7)
    assert len(noises) == 5  # M, y and z
    assert len(set(noises)) == 5


def test_mean_read_and_energy():
    layer = make()
    memory = layer.write(codes(), seed=1)
    queries = codes(count=3, seed=3)
    keys = layer.key_head(queries).mean.numpy()
    predicted = addresses(layer, keys) @ memory["mean"].numpy()
    read = layer.read_head(tf.concat([queries, predicted], axis=-1)).mean
    np.testing.assert_allclose(layer.read(queries, memory), read, rtol=1e-8)
    error = ((read.numpy() - predicted) ** 2).sum(-1)
    np.testing.assert_allclose(
        layer.latent_energy(queries, memory),
        0.5 * (keys**2).sum(-1) + 0.5 * error / NOISE**2,
        rtol=1e-8,
    )


def test_prior_draws_are_read_outs_of_random_keys():
    layer = make()
    memory = layer.write(codes(1), seed=1)
    latents = layer.sample_prior(memory, 20_000, seed=3).numpy()[0]
    keys = np.random.default_rng(6).normal(size=(20_000, KEY))
    expected = addresses(layer, keys) @ memory["mean"][0].numpy()
    error = np.abs(latents.mean(0) - expected.mean(0))
    assert np.all(error < 6.0 * expected.std(0) / np.sqrt(10_000))
    np.testing.assert_allclose(latents.std(0), expected.std(0), rtol=0.05)


def test_order_of_the_codes_does_not_matter():
    layer = make()
    written = codes()
    forward, backward = layer.write(written), layer.write(written[:, ::-1])
    for name, value in forward.items():
        np.testing.assert_allclose(value, backward[name], atol=1e-10)


def test_key_size_below_one():
    with pytest.raises(UserError, match="key_size of at least 1, received 0"):
        KanervaMemory(ROWS, SIZE, key_size=0)
