"""The memory of Kanerva++ and its ablation, against NumPy and TFP."""

import functools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm import UserError
from kgpm import ops
from kgpm.layers import BlockMemory
from kgpm.layers import DenseMemory
from tests.layers.layer_checks import awake

tfd = tfp.distributions
CODE, LATENT, READS = 6, 3, 2


def make_block(**options):
    options = {"memory_size": 12, "window_size": 8, "width": 4, **options}
    return built(BlockMemory, **options)


def make_dense(**options):
    return built(DenseMemory, projection_size=7, **options)


def built(constructor, num_reads=READS, as_made=False, **options):
    random.seed(1)
    layer = constructor(
        CODE, LATENT, num_reads, hidden_size=5, dtype="float64", **options
    )
    layer.build()
    return layer if as_made else awake(layer)


MEMORIES = {"block": make_block, "dense": make_dense}


@functools.cache
def made(name):
    layer = MEMORIES[name]()
    return layer, layer.get_weights()


@pytest.fixture(params=sorted(MEMORIES))
def layer(request):
    """One for all tests, with the weights that it was made with."""
    layer, weights = made(request.param)
    layer.set_weights(weights)
    return layer


def codes(episodes=2, count=4, seed=2):
    return np.random.default_rng(seed).normal(size=(episodes, count, CODE))


def flat(memory):
    return np.concatenate([np.ravel(v) for v in memory.values()])


def test_a_write_sees_the_mean_code_alone(layer):
    written = codes()
    memory = layer.write(written)
    shuffled = layer.write(written[:, ::-1])
    np.testing.assert_allclose(flat(memory), flat(shuffled), atol=1e-12)
    mean = layer.write_mean(tf.constant(written.mean(axis=1)))
    np.testing.assert_allclose(flat(memory), flat(mean), atol=1e-12)


def test_absent_codes_are_not_written(layer):
    written = codes()
    weights = np.array([[1, 1, 0, 1], [0, 0, 1, 1]])
    memory = layer.write(written, weights)
    for i in range(2):
        present = written[i : i + 1, weights[i] > 0]
        alone = layer.write(present)
        np.testing.assert_allclose(
            flat({k: v[i] for k, v in memory.items()}), flat(alone), atol=1e-12
        )


def test_an_empty_episode_is_the_prior(layer):
    empty = layer.write(codes(), np.zeros((2, 4)))
    np.testing.assert_allclose(flat(empty), flat(layer.prior(2)), atol=1e-12)


def test_terms_are_tfps(layer):
    """kl_z and kl_y of a draw whose keys are known from its seed."""
    written = codes()
    memory = layer.write(written)
    draw = layer.sample(written, memory, seed=5)
    key = layer.key_head(written)
    key_seed, latent_seed = ops.split_seed(ops.make_seed(5), 2)
    keys = key.sample(key_seed)
    posterior = layer.posterior_head(written)
    latents = posterior.sample(latent_seed)
    prior = layer.latent_prior(memory, tf.reshape(keys, (2, 4, READS, 3)))

    def normal(gaussian):
        scale = tf.exp(0.5 * gaussian.log_variance)
        return tfd.Independent(tfd.Normal(gaussian.mean, scale), 1)

    standard = tfd.Independent(
        tfd.Normal(tf.zeros_like(keys), tf.ones_like(keys)), 1
    )
    q_z, p_z, q_y = normal(posterior), normal(prior), normal(key)
    np.testing.assert_allclose(draw.latents, latents, rtol=1e-12)
    np.testing.assert_allclose(
        draw.kl["kl_z"], q_z.kl_divergence(p_z), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        draw.kl["kl_y"], q_y.kl_divergence(standard), rtol=1e-9, atol=1e-12
    )
    log_ratio = (
        p_z.log_prob(latents)
        + standard.log_prob(keys)
        - q_z.log_prob(latents)
        - q_y.log_prob(keys)
    )
    np.testing.assert_allclose(draw.log_ratio, log_ratio, rtol=1e-8)


def test_standard_keys_cost_nothing(layer):
    weights = layer.key_head.get_weights()
    layer.key_head.set_weights([0.0 * w for w in weights])
    memory = layer.write(codes())
    # The scale of a zero output is 1 + 1e-4.
    kl = layer.sample(codes(), memory, seed=1).kl["kl_y"]
    np.testing.assert_allclose(kl, np.zeros((2, 4)), atol=1e-6)


def test_the_divergence_of_the_latent_is_what_teaches_the_memory(layer):
    """Gradients reach whatever writes and predicts through kl_z alone."""
    written = tf.constant(codes())
    with tf.GradientTape() as tape:
        tape.watch(written)
        draw = layer.sample(written, layer.write(written), seed=1)
        loss = tf.reduce_sum(draw.kl["kl_z"])
    heads = {
        id(v)
        for head in (layer.key_head, layer.posterior_head)
        for v in head.variables
    }
    own = [v for v in layer.trainable_variables if id(v) not in heads]
    assert own
    for gradient in tape.gradient(loss, own):
        assert np.any(gradient)


def test_a_prior_that_saw_each_code_would_cheat(layer):
    """Our prior is a function of the mean code and the keys alone.

    Two codes with the same keys have the same prior, however they differ.
    """
    written = codes()
    memory = layer.write(written)
    keys = tf.ones((2, 4, READS, 3), "float64")
    prior = layer.latent_prior(memory, keys)
    spread = np.ptp(prior.mean.numpy(), axis=1)
    np.testing.assert_allclose(spread, np.zeros((2, LATENT)), atol=1e-12)


@pytest.mark.slow
def test_a_prior_that_sees_an_image_makes_its_divergence_vanish():
    """The mean of a single code is that code: the cheat, for comparison.

    With eight codes to a mean the same network, trained as long to predict
    the same posteriors, must leave most of the divergence.
    """

    def trained(length):
        layer = built(DenseMemory, projection_size=64, as_made=True)
        # Keys that say nothing.
        for variable in layer.key_head.variables:
            variable.assign(tf.zeros_like(variable))
        written = tf.constant(codes(64 // length, length))
        optimizer = keras.optimizers.Adam(1e-2)
        own = [v for part in layer.projection for v in part.variables]
        optimizer.build(own)

        @tf.function
        def step(seed):
            with tf.GradientTape() as tape:
                draw = layer.sample(written, layer.write(written), seed)
                loss = tf.reduce_mean(draw.kl["kl_z"])
            optimizer.apply(tape.gradient(loss, own))
            return loss

        losses = [float(step(tf.constant([n, 0]))) for n in range(400)]
        return np.mean(losses[-20:])

    assert trained(1) < 0.25 * trained(8)


@pytest.mark.parametrize("name", sorted(MEMORIES))
def test_every_prior_starts_as_standard_normal(name):
    layer = MEMORIES[name](as_made=True)
    memory = layer.write(codes())
    keys = np.random.default_rng(4).normal(size=(2, 4, READS, 3))
    prior = layer.latent_prior(memory, tf.constant(keys))
    np.testing.assert_array_equal(prior.mean, np.zeros((2, 4, LATENT)))
    # The scale of a zero output is 1 + 1e-2.
    np.testing.assert_allclose(prior.log_variance, 0.0, atol=3e-2)


def test_windows_outside_the_memory_do_not_blow_up_the_gradient():
    """Their traces are constant, which a normalisation divides by nothing."""
    layer = make_block(memory_size=32, window_size=32)
    memory = layer.write(codes())

    def gradient_norm(shift):
        keys = tf.constant([1.0, shift, shift], "float64")
        keys = tf.broadcast_to(keys, (2, 4, READS, 3))
        with tf.GradientTape() as tape:
            prior = layer.latent_prior(memory, keys)
            loss = tf.reduce_sum(prior.mean**2 + prior.log_variance**2)
        own = layer.trace_prior.trainable_variables
        return float(tf.linalg.global_norm(tape.gradient(loss, own)))

    assert gradient_norm(5.0) < 100.0 * gradient_norm(0.0)


def test_reads_and_generation_come_from_the_prior(layer):
    written = codes()
    memory = layer.write(written)
    keys = layer.keys_of(written)
    np.testing.assert_array_equal(
        layer.read(written, memory), layer.latent_prior(memory, keys).mean
    )
    draws = layer.sample_prior(memory, 5, seed=3)
    assert draws.shape == (2, 5, LATENT)
    np.testing.assert_array_equal(draws, layer.sample_prior(memory, 5, seed=3))


def test_samples_at_keys_have_the_moments_of_the_prior(layer):
    memory = {k: v[:1] for k, v in layer.write(codes()).items()}
    key = np.random.default_rng(4).normal(size=(1, 1, READS, 3))
    count = 4000
    draws = layer.sample_at(memory, np.repeat(key, count, axis=1), seed=6)
    prior = layer.latent_prior(memory, tf.constant(key))
    mean = prior.mean.numpy()[0, 0]
    scale = np.exp(0.5 * prior.log_variance.numpy()[0, 0])
    draws = draws.numpy()[0]
    assert np.all(np.abs(draws.mean(0) - mean) < 4.5 * scale / count**0.5)
    error = np.abs(draws.std(0) - scale) / scale
    assert np.all(error < 4.5 / (2 * count) ** 0.5)


def test_the_energy_is_that_of_the_mean_read(layer):
    """-ln p(y) p(z | y, M) at the mean key and latent, but for constants."""
    written = codes()
    memory = layer.write(written)
    keys = layer.keys_of(written)
    prior = layer.latent_prior(memory, keys)
    flat_keys = tf.reshape(keys, (2, 4, -1))
    zeros = tf.zeros_like(flat_keys)
    log_density = ops.log_density_diagonal(
        flat_keys, zeros, zeros
    ) + ops.log_density_diagonal(prior.mean, *prior)
    constant = 0.5 * np.log(2 * np.pi) * (flat_keys.shape[-1] + LATENT)
    np.testing.assert_allclose(
        layer.latent_energy(written, memory), -log_density - constant
    )


@pytest.mark.parametrize(
    "shape", [(2, 5, 3), (2, 5, 1, 3), (2, 5, READS, 2), (3, 5, READS, 3)]
)
def test_keys_of_another_shape_are_refused(layer, shape):
    memory = layer.write(codes())
    with pytest.raises(UserError, match=r"keys of shape \[B, N, 2, 3\]"):
        layer.sample_at(memory, np.zeros(shape), seed=0)


def test_traces_are_windows_of_the_cells():
    layer = make_block()
    memory = layer.write(codes())
    keys = np.random.default_rng(7).normal(size=(2, 4, READS, 3))
    traces = layer.traces(memory, tf.constant(keys))
    assert traces.shape == (2, 4, 8, 8, READS * 3)
    one = ops.read_windows(memory["cells"][1:], keys[1:, 2:3, 1:], (8, 8))
    np.testing.assert_allclose(traces[1, 2, ..., 3:], one[0, 0], atol=1e-12)
    bounded = make_block(key_transform="bounded")
    np.testing.assert_allclose(
        bounded.traces(memory, tf.constant(keys)),
        layer.traces(memory, ops.bounded_windows(tf.constant(keys))),
    )


def test_diagnostics_show_a_collapse(layer):
    """Key costs by read, the least scale and, with windows, their place."""
    written = codes()
    memory = layer.write(written)
    scalars = layer.diagnostics(written, memory)
    key = layer.key_head(written)
    mean, scale = key.mean, tf.exp(0.5 * key.log_variance)
    costs = tfd.Normal(mean, scale).kl_divergence(
        tfd.Normal(tf.zeros_like(mean), tf.ones_like(mean))
    )
    costs = tf.reduce_sum(tf.reshape(costs, (8, READS, 3)), -1)
    keys = tf.reshape(mean, (2, 4, READS, 3))
    prior = layer.latent_prior(memory, keys)
    expected = {
        "kl_y_read_1": np.mean(costs[:, 0]),
        "kl_y_read_2": np.mean(costs[:, 1]),
        "least_prior_scale": np.exp(0.5 * np.min(prior.log_variance)),
    }
    if isinstance(layer, BlockMemory):
        expected["window_inside"] = np.mean(ops.share_inside(keys))
    assert scalars.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(scalars[name], value, rtol=1e-9)


def test_the_published_sizes():
    layer = BlockMemory(512, 100)
    layer.build()
    assert layer.memory_floats(7) == 64 * 64 * 3
    assert layer.trace_prior.sides == [32, 15, 12, 5, 3]
    assert [c.filters for c in layer.trace_prior.convolutions] == [
        32,
        64,
        128,
        256,
    ]
    assert layer.key_head.size == 6


def test_the_ablation_has_as_many_parameters():
    """Within 1% of what it takes the place of."""
    block = BlockMemory(512, 100, num_reads=3, hidden_size=9)
    dense = DenseMemory.matching(block, name="ablation")
    assert not block.built
    block.build()
    dense.build()
    assert (dense.name, dense.num_reads, dense.hidden_size) == (
        "ablation",
        3,
        9,
    )
    replaced = block.writer.count_params() + block.trace_prior.count_params()
    count = sum(part.count_params() for part in dense.projection)
    assert abs(count - replaced) < 0.01 * replaced


@pytest.mark.parametrize(
    "constructor, options, message",
    [
        (BlockMemory, {"num_reads": 0}, "num_reads of"),
        (DenseMemory, {"num_reads": 0}, "num_reads of"),
        (BlockMemory, {"window_size": 65}, "window_size <= memory_size"),
        (BlockMemory, {"memory_size": 65}, "4 to 64 pixels"),
        (BlockMemory, {"key_transform": "free"}, "key_transform"),
        (DenseMemory, {"projection_size": 0}, "projection_size"),
    ],
)
def test_bad_arguments_are_refused(constructor, options, message):
    with pytest.raises(UserError, match=message):
        constructor(CODE, LATENT, **options)
