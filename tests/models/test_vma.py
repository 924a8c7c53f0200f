"""Variational Memory Addressing, against enumeration and by hand."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm import layers
from kgpm import ops
from kgpm.evaluation.held_out import held_out_terms
from kgpm.evaluation.importance_weights import held_out_bounds
from kgpm.evaluation.importance_weights import importance_weighted_bounds
from kgpm.layers.networks.gaussian_head import LEAST_PRIOR_SCALE
from kgpm.models import VMA

from .conftest import SHAPE
from .conftest import addressed
from .conftest import compiled
from .conftest import make

LEARNED = 2


@pytest.fixture
def vma():
    """With addresses that differ, as after training."""
    return wide_awake(make("vma"))


def wide_awake(model, factor=300.0):
    kernel, dummies = model.encoder.to_addresses.kernel, model.memory.dummies
    kernel.assign(factor * kernel)
    dummies.assign(np.random.default_rng(1).random(dummies.shape))
    return model


def without_z(model):
    """With z from one and the same N(0, I), and a decoder blind to it."""
    for head, floor in (
        (model.memory.posterior, 1e-4),
        (model.memory.prior_head, LEAST_PRIOR_SCALE),
    ):
        size = head.bias.shape[0] // 2
        head.kernel.assign(np.zeros(head.kernel.shape))
        raw = np.log(np.expm1(1.0 - floor)) - np.log(np.expm1(1.0))
        head.bias.assign(np.concatenate([np.zeros(size), np.full(size, raw)]))
    kernel = model.decoder.dense[0].kernel
    blind = kernel.numpy()
    blind[: model.memory.latent_size] = 0.0
    kernel.assign(blind)
    return model


def mass(model, images, memory):
    """q(a | M, x), `[B, Q, T']`."""
    entries = model.memory.recall(memory)
    codes = model.encode(images)
    return np.exp(model.memory.log_posterior(codes, entries))


def test_as_many_parameters_as_published():
    assert VMA().count_params() == 1_118_409


def test_address_divergence_is_that_of_the_entropy(vma, images):
    memory = vma.write(images)
    q = mass(vma, images, memory)
    entropy = -np.sum(q * np.log(q), axis=-1)
    kl_a = vma.bound_terms(images, seed=1)["kl_a"]
    np.testing.assert_allclose(kl_a, np.log(5 + LEARNED) - entropy, atol=1e-5)
    assert np.ptp(kl_a) > 0.01


def test_equal_entries_have_equal_mass_and_order_does_not_matter(vma, images):
    twice = images[:, [0, 0, 1, 2]]
    q = mass(vma, images, vma.write(twice))
    np.testing.assert_allclose(q[..., 0], q[..., 1], rtol=1e-5)
    order = [2, 0, 3, 1]
    moved = mass(vma, images, vma.write(twice[:, order]))
    np.testing.assert_allclose(moved[..., :4], q[..., order], rtol=1e-4)
    np.testing.assert_allclose(moved[..., 4:], q[..., 4:], rtol=1e-4)
    assert np.ptp(q) > 0.1


def test_the_decoder_sees_nothing_of_the_image_explained(vma, images):
    """With z and a fixed, whatever was encoded in between."""
    entries = vma.memory.recall(vma.write(images))
    parameters = []
    for queries in (images, 1.0 - images):
        codes = vma.encode(queries)
        log_posterior = vma.memory.log_posterior(codes, entries)
        addresses = np.broadcast_to([[[3]]], (3, 5, 1))
        drawn = vma.memory.draw_at(
            codes, entries, log_posterior, addresses, seed=1
        )
        latents = {**drawn.latents, "z": tf.ones_like(drawn.latents["z"])}
        parameters.append(vma.decode(latents).numpy())
    np.testing.assert_array_equal(*parameters)
    # The entry, and nothing else, makes the maps.
    skips = drawn.latents["skips"]
    expected = vma.encode(images[:, 3:4])["skips"]
    for found, map_ in zip(skips, expected, strict=True):
        np.testing.assert_allclose(found, np.repeat(map_, 5, axis=1), atol=1e-5)


def test_no_image_finds_itself(vma, images):
    """Held-out divergences are those under a memory of the others."""
    weights = np.ones((3, 5), "float32")
    weights[0, 4] = 0.0
    terms = held_out_terms(vma, images, weights, seed=1)
    for position in range(5):
        others = [i for i in range(5) if i != position]
        memory = vma.write(images[:, others], weights[:, others])
        alone = vma.query_terms(images[:, position : position + 1], memory)
        # An image that is absent has no score.
        there = weights[:, position] > 0
        np.testing.assert_allclose(
            terms["kl_a"][:, position][there],
            alone["kl_a"][:, 0][there],
            atol=1e-5,
        )
    present = weights > 0
    full = vma.bound_terms(images, weights, seed=1)["kl_a"].numpy()
    assert np.all(np.abs(terms["kl_a"].numpy() - full)[present] > 1e-4)


def test_training_terms_are_averages_of_held_out_ones(images):
    """Over VIMCO's samples, or over all addresses: the same expectation."""
    one = images[:1]
    vimco, enumerated = (
        wide_awake(make("vma")),
        wide_awake(addressed(address_gradient="enumerate")),
    )
    enumerated.set_weights(vimco.get_weights())
    many = np.repeat(one, 400, axis=0)
    held_out = held_out_terms(vimco, many, seed=1)
    for model in (vimco, enumerated):
        terms = model.training_terms(many, None, 2)
        for name in vimco.term_names:
            a, b = np.asarray(held_out[name]), np.asarray(terms[name])
            error = np.sqrt((a.var(0) + b.var(0)) / 400) + 1e-4
            assert np.all(np.abs(a.mean(0) - b.mean(0)) < 5.0 * error)


@pytest.mark.parametrize("baseline", ops.VIMCO_BASELINES)
@pytest.mark.slow
def test_expected_gradient_is_that_of_all_pairs_of_addresses(baseline):
    """Of the addresses' network, over thousands of copies of an episode."""
    options = {"num_bound_samples": 2, "vimco_baseline": baseline}
    model = without_z(wide_awake(addressed(**options), 100.0))
    compiled(model)
    generator = np.random.default_rng(0)
    episode = (generator.random((1, 2, *SHAPE)) > 0.6).astype("float32")
    kernel = model.encoder.to_addresses.kernel

    @tf.function
    def enumerated():
        with tf.GradientTape() as tape:
            codes = model.encode(episode)
            others = model.leave_each_out(codes)
            log_posterior = model.memory.log_posterior(codes, others)
            addresses = np.broadcast_to(np.arange(4), (1, 2, 4))
            drawn = model.memory.draw_at(
                codes, others, log_posterior, addresses, 0
            )
            log_prob = model.likelihood.log_prob(
                tf.repeat(episode, 4, axis=1), model.decode(drawn.latents)
            )
            weights = tf.reshape(log_prob, (2, 4)) + drawn.log_ratio[0]
            total = 0.0
            for image in range(2):
                there = [i for i in range(4) if i != image]
                for a, b in itertools.product(there, repeat=2):
                    pair = tf.stack([weights[image, a], weights[image, b]])
                    bound = ops.importance_weighted_bound(pair)
                    log_q = log_posterior[0, image]
                    total -= tf.exp(log_q[a] + log_q[b]) * bound / 2
        return tape.gradient(total, kernel)

    @tf.function
    def estimated(seed):
        many = tf.repeat(episode, 500, axis=0)
        with tf.GradientTape() as tape:
            terms = model.training_terms(many, None, seed)
            loss = tf.reduce_mean(model.loss_of(terms, 1.0))
        return tape.gradient(loss, kernel)

    expected = enumerated().numpy()
    runs = np.stack([estimated(tf.constant([i, 0])) for i in range(12)])
    error = runs.std(0, ddof=1) / np.sqrt(len(runs))
    assert np.abs(expected).max() > 20.0 * error.max()
    # Twelve runs give a t distribution: 7 of its scales.
    assert np.all(np.abs(runs.mean(0) - expected) < 7.0 * error + 1e-4)


@pytest.mark.slow
def test_stratified_bound_is_the_sum_over_entries(images):
    """Of p(x | m_a) alone, where z says nothing."""
    vma = without_z(wide_awake(make("vma"), 30.0))
    weights = np.ones((3, 5), "float32")
    weights[1, 2:] = 0.0
    memory = vma.write(images, weights)
    entries = vma.memory.recall(memory)
    codes = vma.encode(images)
    addresses = np.broadcast_to(np.arange(7), (3, 5, 7))
    log_posterior = vma.memory.log_posterior(codes, entries)
    drawn = vma.memory.draw_at(codes, entries, log_posterior, addresses, 0)
    log_prob = vma.likelihood.log_prob(
        np.repeat(images, 7, axis=1), vma.decode(drawn.latents)
    )
    log_prob = np.reshape(log_prob, (3, 5, 7)).astype("float64")
    present = np.concatenate([weights > 0, np.ones((3, 2), bool)], axis=1)
    each = np.where(present[:, None], log_prob, -np.inf)
    count = present.sum(axis=1)[:, None]
    expected = np.logaddexp.reduce(each, axis=-1) - np.log(count)
    bounds = tf.function(
        lambda: importance_weighted_bounds(vma, images, memory, 500, seed=1)
    )()
    # z says nothing: a sample at each address is as good as 71.
    np.testing.assert_allclose(bounds["nelbo_stratified"], -expected, rtol=1e-5)
    np.testing.assert_allclose(bounds["nelbo_iw"], -expected, atol=0.05)


@pytest.mark.slow
def test_bounds_tighten(vma, images):
    memory = vma.write(images)
    elbo = [-ops.nelbo(vma.query_terms(images, memory, s)) for s in range(20)]
    bounds = tf.function(
        lambda: importance_weighted_bounds(vma, images, memory, 100, seed=1)
    )()
    iw = -np.mean(bounds["nelbo_iw"])
    assert iw > np.mean(elbo)
    assert -np.mean(bounds["nelbo_stratified"]) == pytest.approx(iw, abs=0.5)


@pytest.mark.slow
def test_held_out_bounds_leave_the_image_out(vma, images):
    bounds = tf.function(lambda: held_out_bounds(vma, images, None, 60, 1))()
    tighter = tf.function(
        lambda image, memory: importance_weighted_bounds(
            vma, image, memory, 60, seed=2
        )
    )
    for position in (0, 3):
        others = [i for i in range(5) if i != position]
        memory = vma.write(images[:, others])
        alone = tighter(images[:, position : position + 1], memory)
        for name, value in alone.items():
            np.testing.assert_allclose(
                bounds[name][:, position], value[:, 0], atol=1.0
            )


def test_generation_takes_every_entry_as_often(vma, images):
    entries = vma.memory.recall(vma.write(images[:1]))
    drawn = vma.memory.sample_prior(entries, 7000, seed=1)
    features = np.asarray(entries["features"])[0]
    distance = np.square(np.asarray(drawn["features"])[0, :, None] - features)
    counts = np.bincount(distance.sum(-1).argmin(1), minlength=7)
    # Five standard deviations of a count.
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(1000))


def test_an_unwritten_memory_has_the_learned_images(vma, images):
    memory = vma.memory.prior(3)
    terms = vma.query_terms(images, memory, seed=0)
    assert np.isfinite(ops.nelbo(terms)).all()
    assert np.all(terms["kl_a"] <= np.log(LEARNED) + 1e-6)
    np.testing.assert_array_equal(
        vma.memory.images_of(memory)[1], vma.memory.dummies
    )


@pytest.mark.slow
def test_training_lowers_the_held_out_bound(images):
    """Every episode is one image again and again: the others show it."""
    same = np.repeat(images[:, :1], 4, axis=1)
    model = compiled(make("vma"))
    data = {"images": tf.constant(same), "weights": tf.ones((3, 4))}
    step = tf.function(model.train_step)
    first = float(step(data)["nelbo"])
    for _ in range(20):
        model.reset_metrics()
        last = step(data)
    assert float(last["nelbo"]) < 0.8 * first


def test_the_loss_is_the_bound_of_several_samples(vma, images):
    compiled(vma)
    logs = vma.train_step(images)
    assert float(logs["loss"]) == pytest.approx(float(logs["nelbo_iw"]))
    vma.reset_metrics()
    assert "loss" not in vma.test_step(images)


def test_validation_is_held_out_and_shared_networks_are_one(images):
    """With one network for features and addresses, and all addresses summed."""
    model = wide_awake(
        addressed(share_encoder=True, address_gradient="enumerate")
    )
    assert len(model.encoder.encoders) == 1
    assert model.auxiliary_weights == {}
    weights = np.ones((3, 5), "float32")
    terms = model.validation_terms(images, weights, 1)
    for name, value in held_out_terms(model, images, weights, 1).items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5)
    compiled(model, kl_warmup_steps=4)
    logs = model.train_step(images)
    expected = logs["nll"] + 0.25 * (logs["kl_z"] + logs["kl_a"])
    assert float(logs["loss"]) == pytest.approx(float(expected))


def test_the_memory_shares_the_encoder_of_the_model():
    model = VMA(SHAPE, width=[4, 6], latent_size=5)
    assert model.memory.encoder is model.encoder
    assert (model.memory.latent_size, model.decoder.latent_size) == (5, 5)
    encoder = layers.AddressEncoder(SHAPE, [4, 6], 12, 10, 16)
    brought = VMA(SHAPE, encoder=encoder, width=[4, 6])
    assert brought.memory.encoder is brought.encoder is encoder
    names = [variable.path for variable in brought.weights]
    assert len(names) == len(set(names))


def test_mistakes():
    words = "num_dummies of at least 1.*received 0"
    with pytest.raises(UserError, match=words):
        addressed(memory_options={"num_dummies": 0})
    model = make("vma")
    with pytest.raises(UserError, match="kl_warmup_steps=0.*received 3"):
        model.compile("adam", kl_warmup_steps=3)
