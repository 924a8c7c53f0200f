"""Reads of a memory of slots: exact sums, densities and Monte Carlo."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from kgpm import UserError
from kgpm.layers import SlotMemory
from kgpm.layers.memories import categorical_read
from kgpm.layers.memories import slot
from kgpm.ops import parts
from kgpm.ops import slots
from tests.layers.layer_checks import noise

tfd = tfp.distributions
# Wide enough that no address is certain.
NOISE = 1.2
COUNT = np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 4.0]], "float32")


# Units of networks, where there are any.
HIDDEN = {"categorical": {"hidden_size": 8}, "softmax": {}}


def make(read, code_size=5, **options):
    keras.utils.set_random_seed(3)
    layer = SlotMemory(3, code_size, NOISE, read, **HIDDEN[read], **options)
    layer.build()
    generator = np.random.default_rng(7)
    for weight in layer.weights:
        value = generator.normal(size=weight.shape)
        weight.assign(weight + 0.3 * value)
    return layer


def memory_of(code_size=5):
    mean = noise(2, 3, code_size) * (COUNT[..., None] > 0.0)
    return {"mean": tf.constant(mean), "count": tf.constant(COUNT)}


def gaussian(parameters):
    mean, log_variance = (np.asarray(v, "float64") for v in parameters)
    return tfd.MultivariateNormalDiag(mean, np.exp(0.5 * log_variance))


def priors_of(reading, mean, count):
    """p(u | a) of likenesses and new: conditioning of one Gaussian.

    Of the class means c ~ N(mu, v_b), its members at hand u_j ~ N(c, v_w), a
    weighted one as if seen so often, and one more member.
    """
    own = reading.posterior(tf.constant(mean)[None]).mean.numpy()[0]
    own = own.astype("float64")
    mu = reading.prior_mean.numpy().astype("float64")
    within = np.exp(reading.log_variance_within.numpy().astype("float64"))
    between = np.exp(reading.log_variance_between.numpy().astype("float64"))
    sharpness = np.exp(float(reading.log_sharpness))
    found = []
    for k in range(len(mean) + 1):
        loc, scale = [], []
        weights = np.zeros(len(mean))
        if k < len(mean):
            squares = np.square(own - own[k]) / within
            weights = count * np.exp(-sharpness * squares.sum(-1))
        for d in range(len(mu)):
            seen = np.flatnonzero(weights > 0.0)
            joint = np.full((len(seen) + 1,) * 2, between[d])
            noise_of_seen = within[d] / weights[seen]
            joint += np.diag([*noise_of_seen, within[d]])
            gain = joint[-1, :-1] @ np.linalg.inv(joint[:-1, :-1])
            loc.append(mu[d] + gain @ (own[seen, d] - mu[d]))
            scale.append(np.sqrt(joint[-1, -1] - gain @ joint[:-1, -1]))
        found.append(tfd.MultivariateNormalDiag(np.array(loc), np.array(scale)))
    return found


def test_the_divergences_of_a_categorical_read_are_sums_over_all_addresses():
    layer, memory = make("categorical"), memory_of()
    reading = layer.reading
    codes = tf.constant(noise(2, 4, 5))
    draw = layer.sample(codes, memory, seed=1)
    kinds = special.softmax(reading.kind_logits.numpy().astype("float64"))
    for b in range(2):
        share = COUNT[b] / COUNT[b].sum()
        prior = np.concatenate([kinds[0] * share, kinds[1] * share, kinds[2:]])
        priors = priors_of(reading, memory["mean"][b].numpy(), COUNT[b])
        for q in range(4):
            code = codes[b, q]
            posterior = gaussian(reading.posterior(code[None])[:2])
            to_entries = [
                tfd.kl_divergence(posterior, each).numpy().item()
                for each in priors
            ]
            to_slots = [
                np.square(code - row).sum() / (2 * NOISE**2) - 2.5
                for row in memory["mean"][b].numpy()
            ]
            mass = prior * np.exp(-np.array([*to_slots, *to_entries]))
            mass /= mass.sum()
            kl_a = tfd.kl_divergence(
                tfd.Categorical(probs=mass[mass > 0]),
                tfd.Categorical(logits=np.log(prior[mass > 0])),
            )
            assert draw.kl["kl_a"][b, q].numpy() == pytest.approx(
                kl_a.numpy(), rel=1e-4
            )
            expected = mass[3:] @ to_entries
            assert draw.kl["kl_z"][b, q].numpy() == pytest.approx(
                expected, rel=1e-4
            )


def test_the_divergence_of_a_softmax_read():
    layer, memory = make("softmax"), memory_of()
    reading = layer.reading
    codes = noise(2, 4, 5)
    gamma = np.exp(float(reading.log_gamma))
    near, far = (
        float(value)
        for value in (reading.w_log_variance, reading.w_log_variance_of_others)
    )
    squares = np.square(codes[:, :, None] - memory["mean"][:, None]).sum(-1)
    with np.errstate(divide="ignore"):
        logits = np.log(COUNT)[:, None] - squares / (2 * NOISE**2)
    share = special.softmax(logits, axis=-1)
    posterior = gaussian([gamma * share, share * near + (1 - share) * far])
    standard = tfd.MultivariateNormalDiag(np.zeros(3), np.ones(3))
    draw = layer.sample(tf.constant(codes), memory, seed=1)
    np.testing.assert_allclose(
        draw.kl["kl_w"], tfd.kl_divergence(posterior, standard), rtol=1e-4
    )
    weights = np.exp(np.exp(float(reading.log_beta)) * gamma * share)
    weights *= COUNT[:, None] > 0.0
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(
        layer.read(codes, memory), weights @ memory["mean"].numpy(), rtol=1e-4
    )


def marginals(layer, memory, likelihood, num_samples):
    """p(x | M) of each episode by draws of the prior, all in NumPy."""
    reading = layer.reading
    generator = np.random.default_rng(0)
    found = []
    for mean, count in zip(memory["mean"].numpy(), COUNT, strict=True):
        size = (num_samples, mean.shape[1])
        blur = NOISE * generator.normal(size=size)
        if hasattr(reading, "log_beta"):
            w = generator.normal(size=(num_samples, 3))
            logits = np.exp(float(reading.log_beta)) * w
            logits[:, count == 0.0] = -np.inf
            codes = special.softmax(logits, axis=1) @ mean + blur
        else:
            kinds = special.softmax(np.asarray(reading.kind_logits, "float64"))
            slot = generator.choice(3, num_samples, p=count / count.sum())
            kind = generator.choice(3, num_samples, p=kinds / kinds.sum())
            entry = mean[slot]
            entry[kind == 2] = reading.nothing.numpy()
            places = np.where(kind == 2, 3, slot)
            priors = priors_of(reading, mean, count)
            loc = np.stack([p.mean() for p in priors])[places]
            scale = np.stack([p.stddev() for p in priors])[places]
            u = loc + scale * generator.normal(size=size)
            both = np.concatenate([u, entry], axis=1)
            for dense in (reading.hidden, reading.to_code):
                kernel, bias = (v.numpy() for v in dense.weights)
                both = both @ kernel + bias
                if dense is reading.hidden:
                    both = np.maximum(both, 0.0)
            like = u + both
            codes = np.where(kind[:, None] == 0, entry + blur, like)
        found.append(np.exp(likelihood(codes)))
    return np.array(found)


@pytest.mark.parametrize("read", ["categorical", "softmax"])
def test_a_read_is_a_bound_of_the_marginal(read):
    """Importance weights of its draws average to p(x | M), and terms below.

    An image of four binary pixels and a linear decoder. Tolerances are five
    standard errors of both Monte Carlo estimates.
    """
    layer, memory = make(read, code_size=2), memory_of(code_size=2)
    # Posteriors a little wider than priors: weights must have a variance.
    for name, value in (
        ("w_log_variance", 0.2),
        ("w_log_variance_of_others", 0.4),
        ("log_gamma", -0.5),
        ("kind_logits", [-1.0, 1.0, 0.5]),
    ):
        if hasattr(layer.reading, name):
            getattr(layer.reading, name).assign(value)
    if hasattr(layer.reading, "posterior"):
        head = layer.reading.posterior.output_layer
        head.kernel.assign(0.3 * head.kernel)
        head.bias.assign([0.1, -0.2, 2.2, 2.2])
    kernel = np.random.default_rng(5).normal(size=(2, 4))
    image = np.array([1.0, 0.0, 1.0, 1.0])

    def likelihood(codes):
        logits = np.asarray(codes, "float64") @ kernel
        return -np.logaddexp(0.0, (1.0 - 2.0 * image) * logits).sum(-1)

    exact = marginals(layer, memory, likelihood, 200_000)
    codes = tf.tile(tf.constant(noise(1, 1, 2)), [2, 50_000, 1])
    draw = layer.sample(codes, memory, seed=4)
    log_prob = likelihood(draw.latents)
    weights = np.exp(log_prob + np.asarray(draw.log_ratio, "float64"))
    error = np.sqrt(exact.var(1) / 200_000 + weights.var(1) / 50_000)
    assert np.all(error < 0.02 * exact.mean(1))
    assert np.all(np.abs(exact.mean(1) - weights.mean(1)) < 5.0 * error)
    kl = sum(np.asarray(v, "float64") for v in draw.kl.values())
    bound = (log_prob - kl).mean(1)
    # What the terms charge is what the draws are worth.
    of_draws = log_prob + np.asarray(draw.log_ratio, "float64")
    error = np.sqrt((of_draws.var(1) + log_prob.var(1)) / 50_000)
    assert np.all(np.abs(bound - of_draws.mean(1)) < 5.0 * error)
    assert np.all(bound < np.log(exact.mean(1)))


@pytest.mark.parametrize("read", ["categorical", "softmax"])
def test_draws_of_the_prior_are_those_of_the_bound(read):
    """Mean and covariance of codes, of the layer and of NumPy."""
    layer, memory = make(read, code_size=2), memory_of(code_size=2)
    drawn = layer.sample_prior(memory, 40_000, seed=2).numpy()
    seen = []
    marginals(layer, memory, lambda codes: seen.append(codes) or 0.0, 40_000)
    for codes, expected in zip(drawn, seen, strict=True):
        for power in (1, 2):
            difference = (codes**power).mean(0) - (expected**power).mean(0)
            spread = np.sqrt(2 * (expected**power).var(0) / 40_000)
            assert np.all(np.abs(difference) < 5.0 * spread)


def test_a_stored_code_costs_the_choice_of_its_slot():
    """ln T nats and the kind, where codes are far apart."""
    layer = SlotMemory(8, 40, observation_noise=0.01)
    layer.build()
    codes = noise(2, 6, 40)
    draw = layer.sample(codes, layer.write(codes), seed=1)
    np.testing.assert_allclose(draw.kl["kl_a"], np.log(3 * 6), rtol=1e-4)
    np.testing.assert_allclose(draw.kl["kl_z"], 0.0, atol=1e-4)
    assert np.abs(draw.latents - codes).max() < 0.06


def test_where_nothing_was_written_all_is_new():
    layer = make("categorical")
    memory = layer.prior(2)
    codes = tf.constant(noise(2, 4, 5))
    known = layer.reading.addresses(codes, memory)
    for log in (known.log_prior, known.log_posterior):
        np.testing.assert_allclose(np.exp(log[..., -1]), 1.0, rtol=1e-6)
    draw = layer.sample(codes, memory, seed=1)
    np.testing.assert_allclose(draw.kl["kl_a"], 0.0, atol=1e-6)
    np.testing.assert_allclose(
        draw.kl["kl_z"], known.divergence[..., -1], rtol=1e-5
    )
    np.testing.assert_array_equal(layer.latent_energy(codes, memory), 0.0)


@pytest.mark.parametrize("read", ["categorical", "softmax"])
def test_the_order_of_the_slots_does_not_matter(read):
    layer, memory = make(read), memory_of()
    codes = noise(2, 4, 5)
    order = [2, 0, 1]
    permuted = {n: tf.gather(v, order, axis=1) for n, v in memory.items()}
    first = layer.sample(codes, memory, seed=1).kl
    second = layer.sample(codes, permuted, seed=1).kl
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4)
    np.testing.assert_allclose(
        layer.read(codes, memory), layer.read(codes, permuted), atol=1e-5
    )


def test_a_mean_read_lowers_the_energy():
    layer, memory = make("categorical"), memory_of()
    codes = tf.constant(3.0 * noise(2, 50, 5))
    energies = []
    for _ in range(6):
        energies.append(layer.latent_energy(codes, memory).numpy())
        codes = layer.read(codes, memory)
    falls = -np.diff(energies, axis=0)
    assert np.all(falls > -1e-5)
    assert np.all(falls[0] > 0.0)


def test_the_posterior_of_an_address_has_no_gradient():
    """Else the divergence would pull codes together that are told apart."""
    layer, memory = make("categorical"), memory_of()
    codes = tf.constant(noise(2, 4, 5))
    with tf.GradientTape() as tape:
        tape.watch(codes)
        known = layer.reading.addresses(codes, memory)
    assert tape.gradient(known.log_posterior, codes) is None


@pytest.mark.parametrize("read", ["categorical", "softmax"])
def test_each_left_out_is_a_write_without_it(read):
    layer = SlotMemory(6, 5, NOISE, read, **HIDDEN[read])
    layer.build()
    codes = noise(2, 4, 5)
    others = layer.leave_each_out(codes, layer.write(codes))
    together = layer.sample(codes, others, seed=1).kl
    for t in range(4):
        weights = np.ones((2, 4), "float32")
        weights[:, t] = 0.0
        memory = layer.write(codes, weights)
        alone = layer.sample(codes[:, t : t + 1], memory, seed=1).kl
        for name, value in alone.items():
            np.testing.assert_allclose(
                together[name][:, t], value[:, 0], rtol=1e-4
            )


def test_a_code_takes_itself_out_of_a_shared_slot():
    layer = SlotMemory(3, 5)
    layer.build()
    codes = noise(2, 10, 5)
    memory = layer.write(codes)
    others = layer.leave_each_out(codes, memory)
    np.testing.assert_allclose(others["count"].numpy().sum(-1), 9.0)
    removed = memory["count"].numpy()[:, None] - others["count"].numpy()
    assert set(np.unique(removed)) == {0.0, 1.0}
    # As often as codes are in it.
    np.testing.assert_array_equal(removed.sum(1), memory["count"])


def test_write_noise_only_in_training():
    layer = SlotMemory(8, 5, write_noise=0.3)
    layer.build()
    codes = noise(2, 8, 5)
    np.testing.assert_array_equal(layer.write(codes, seed=1)["mean"], codes)
    noisy = layer.write(codes, seed=1, training=True)["mean"].numpy()
    assert 0.2 < (noisy - codes).std() < 0.4


def test_how_many_numbers_a_memory_holds():
    layer = SlotMemory(6, 5)
    layer.build()
    memory = layer.write(noise(1, 9, 5))
    numbers = sum(v.numpy().size for v in memory.values())
    assert layer.memory_floats(9) == numbers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"read": "linear"}, "read to be one of categorical, softmax"),
        ({"read": "softmax", "beta": 0.0}, "beta > 0"),
        ({"observation_noise": 0.0}, "observation_noise > 0"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"write_noise": -1.0}, "write_noise"),
        ({"memory_size": 0}, "memory_size"),
        # Options without effect.
        ({"beta": 2.0}, "beta with read='softmax' only"),
        (
            {"read": "softmax", "hidden_size": 8},
            "hidden_size with read='categorical' only",
        ),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(UserError, match=message):
        SlotMemory(**{"memory_size": 3, "code_size": 5, **options})


def use_parts(monkeypatch, largest):
    for module in (slot, categorical_read, slots):
        monkeypatch.setattr(module, "FEW_SLOTS", 0)
    monkeypatch.setattr(parts, "LARGEST_PART", largest)


# One episode and one query at a time, or two of four queries.
@pytest.mark.parametrize("largest", [1, 8, 2**23])
@pytest.mark.parametrize("read", HIDDEN)
def test_reads_in_parts_are_those_of_the_whole(read, largest, monkeypatch):
    layer, memory = make(read), memory_of()
    codes = tf.constant(noise(2, 4, 5))

    def values():
        draw = layer.sample(codes, memory, seed=1)
        return (
            layer.read(codes, memory),
            layer.latent_energy(codes, memory),
            *draw.kl.values(),
        )

    whole = values()
    use_parts(monkeypatch, largest)
    for value, expected in zip(values(), whole, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("read", HIDDEN)
def test_draws_of_parts_are_of_their_own(read, monkeypatch):
    """And their weights average to p(x | M) as those of the whole do."""
    layer, count = make(read), 64
    memory = {
        name: tf.repeat(value[1:], 2, axis=0)
        for name, value in memory_of().items()
    }
    use_parts(monkeypatch, 24)
    codes = tf.constant(np.tile(noise(1, 1, 5), (2, count, 1)))
    draw = layer.sample(codes, memory, seed=1)
    assert len(np.unique(draw.latents[..., 0])) == 2 * count
    # E_q[ln p(h) - ln q(h)] is minus the divergence.
    deviation = draw.log_ratio + sum(draw.kl.values())
    error = np.std(deviation, axis=1) / np.sqrt(count)
    assert np.all(np.abs(np.mean(deviation, axis=1)) < 4.5 * error)


@pytest.mark.parametrize("read", HIDDEN)
def test_a_mean_read_of_many_slots_is_numpys(read):
    size, filled = 20_000, 15_000
    layer = SlotMemory(size, 6, 0.3, read, **HIDDEN[read])
    layer.build()
    codes = noise(1, filled, 6)
    memory = layer.write(codes)
    queries = codes[:, :500] + 0.1 * noise(1, 500, 6)[:, ::-1]
    squares = np.square(queries[0, :, None] - codes[0]).sum(-1)
    weights = special.softmax(-squares / (2 * 0.3**2), axis=-1)
    if read == "softmax":
        address = math.exp(layer.reading.log_beta + layer.reading.log_gamma)
        weights = special.softmax(address * weights, axis=-1)
    np.testing.assert_allclose(
        layer.read(queries, memory)[0], weights @ codes[0], atol=1e-4
    )
