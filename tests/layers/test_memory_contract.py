"""What holds for every memory, whatever it stores and however it is read."""

import functools
import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import tree

from kgpm import layers
from kgpm.errors import UserError
from kgpm.ops import KL_MEMORY
from tests.layers.layer_checks import noise
from tests.layers.memory_cases import MEMORIES
from tests.layers.memory_cases import codes_of
from tests.layers.memory_cases import copy_of
from tests.layers.memory_cases import fresh
from tests.layers.memory_cases import unbuilt

B, T = 2, 4
# The second code of each episode is absent.
WEIGHTS = np.array([[1.0, 0.0, 1.0, 1.0]] * B, "float32")
PRESENT = [0, 2, 3]


@functools.cache
def made(name):
    """A memory for all tests that leave it as it is, codes, what they wrote."""
    random.seed(1)
    layer = fresh(name)
    codes = codes_of(layer, *MEMORIES[name]["inputs"])
    return layer, codes, layer.write(codes)


# Options that none of these checks looks at.
VARIANTS = {
    "dense_memory_linear",
    "image_memory_shared",
    "kanerva_fixed_noise",
    "soft_bottleneck_cosine",
    "soft_bottleneck_reference",
}
UNBUILT = {name: unbuilt(name) for name in MEMORIES}


def those(condition):
    """A parameter of a test: the cases whose memories are so."""
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(
                name, marks=[pytest.mark.slow] if name in VARIANTS else []
            )
            for name, memory in UNBUILT.items()
            if condition(memory)
        ],
    )


every = those(lambda memory: True)
storing = those(lambda memory: memory.stores)


def take(values, places):
    """The codes at some places of each episode."""
    return tree.map_structure(lambda v: tf.gather(v, places, axis=1), values)


def put(values, places, others):
    """Codes with others at some places of each episode."""

    def one(value, other):
        there = np.isin(np.arange(T), places)
        there = np.reshape(there, (1, T) + (1,) * (len(value.shape) - 2))
        return tf.where(there, other, value)

    return tree.map_structure(one, values, others)


def leaves(values):
    return [np.asarray(value) for value in tree.flatten(values)]


def agree(one, other, tolerance=1e-5):
    for value, expected in zip(leaves(one), leaves(other), strict=True):
        assert value.shape == expected.shape
        np.testing.assert_allclose(
            value, expected, rtol=tolerance, atol=tolerance
        )


def differ(one, other):
    return any(
        np.any(value != expected)
        for value, expected in zip(leaves(one), leaves(other), strict=True)
    )


def shapes(values):
    return [value.shape for value in leaves(values)]


def all_of(layer, codes, memory):
    """What reads make of codes: read, drawn, and generated if they can."""
    found = [layer.read(codes, memory), layer.sample(codes, memory, seed=5)]
    if layer.has_prior:
        found.append(layer.sample_prior(memory, 3, seed=6))
    return found


@every
def test_a_write_is_a_value_with_the_episodes_first(name):
    layer, _, memory = made(name)
    prior = layer.prior(B)
    if not layer.stores:
        assert memory is None and prior is None
        return
    tree.assert_same_structure(memory, prior)
    for value in (*leaves(memory), *leaves(prior)):
        assert value.shape[0] == B
        assert value.dtype == "float32"
        assert np.all(np.isfinite(value))


@every
def test_a_read_is_decided_by_codes_and_memory(name):
    layer, codes, memory = made(name)
    once = layer.read(codes, memory)
    agree(layer.read(codes, memory), once, 0.0)
    # Also of what many reads need.
    recalled = layer.recall(memory)
    agree(layer.read(codes, recalled), once)
    agree(layer.read(codes, layer.recall(recalled)), once)
    tf.debugging.assert_all_finite(tree.flatten(once)[0], "a read")


@every
def test_a_draw_has_the_terms_that_are_named(name):
    layer, codes, memory = made(name)
    draw = layer.sample(codes, memory, seed=5)
    assert set(draw.kl) == set(layer.term_names) - {KL_MEMORY}
    for value in (*draw.kl.values(), draw.log_ratio, *draw.losses.values()):
        assert value.shape == (B, T) and value.dtype == "float32"
    assert set(draw.losses) == set(layer.loss_weights)
    assert set(draw.figures) == set(layer.figure_metrics())
    for metric, figure in draw.figures.items():
        assert figure.shape[:2] == (B, T)
        layer.figure_metrics()[metric].update_state(figure, np.ones((B, T)))
    assert all(np.all(np.isfinite(value)) for value in leaves(draw))


@every
def test_whatever_gives_latents_gives_what_a_decoder_takes(name):
    layer, codes, memory = made(name)
    latents = layer.sample(codes, memory, seed=5).latents
    assert all(shape[:2] == (B, T) for shape in shapes(latents))
    assert shapes(layer.read(codes, memory)) == shapes(latents)
    assert shapes(layer.latents_of(codes)) == shapes(latents)
    if layer.rows_are_latents:
        rows = layer.rows(memory)
        assert rows.shape[0] == B and rows.shape[2:] == latents.shape[2:]


@every
def test_generation_where_there_is_a_prior(name):
    layer, codes, memory = made(name)
    if not layer.has_prior:
        words = f"{type(layer).__name__}, which has none"
        with pytest.raises(UserError, match=words):
            layer.sample_prior(memory, 3, seed=6)
        return
    drawn = layer.sample_prior(memory, 3, seed=6)
    episodes = B if layer.stores else 1
    latents = layer.read(codes, memory)
    expected = [(episodes, 3, *shape[2:]) for shape in shapes(latents)]
    assert shapes(drawn) == expected
    assert all(np.all(np.isfinite(value)) for value in leaves(drawn))
    # Of the memory to which nothing was written, too.
    assert shapes(layer.sample_prior(layer.prior(B), 3, seed=6)) == expected
    agree(layer.sample_prior(memory, 3, seed=6), drawn, 0.0)
    assert differ(layer.sample_prior(memory, 3, seed=7), drawn)


@every
def test_draws_of_two_seeds_differ_where_latents_are_drawn(name):
    layer, codes, memory = made(name)
    first = layer.sample(codes, memory, seed=5)
    agree(layer.sample(codes, memory, seed=tf.constant([5, 0])), first, 0.0)
    other = layer.sample(codes, memory, seed=6)
    assert differ(first.latents, other.latents) == layer.draws


@every
def test_what_a_memory_costs_is_shared_by_its_images(name):
    layer, codes, _ = made(name)
    memory = layer.write(codes, WEIGHTS)
    if KL_MEMORY not in layer.term_names:
        with pytest.raises(NotImplementedError):
            layer.costs(memory, WEIGHTS)
        return
    costs = layer.costs(memory, WEIGHTS)
    assert set(costs) == {KL_MEMORY}
    each = np.asarray(layer.kl(memory)) / WEIGHTS.sum(axis=1)
    np.testing.assert_allclose(
        costs[KL_MEMORY], np.tile(each[:, None], T), rtol=1e-6
    )
    assert np.all(each > 0.0)
    # Nothing was written, and nothing is divided by.
    nothing = layer.costs(layer.prior(B), np.zeros((B, T), "float32"))
    np.testing.assert_allclose(nothing[KL_MEMORY], 0.0, atol=1e-4)


@those(lambda memory: not memory.why_no_bound)
def test_what_is_charged_is_what_is_drawn(name):
    """Terms are the mean of ln q(h) - ln p(h), over many draws or exactly."""
    layer, codes, memory = made(name)
    count = 2000
    many = tree.map_structure(lambda v: tf.repeat(v, count, axis=1), codes)
    draw = layer.sample(many, memory, seed=5)
    excess = sum(draw.kl.values()) + draw.log_ratio
    excess = np.reshape(excess, (B, T, count)).astype("float64")
    error = excess.std(axis=-1) / np.sqrt(count)
    assert np.all(error <= layer.draws * 0.3)
    assert np.all(np.abs(excess.mean(axis=-1)) < 5.0 * error + 1e-4)
    assert np.all(np.asarray(sum(draw.kl.values())) > -1e-4)


@storing
def test_an_absent_code_is_nowhere(name):
    """What is in it does not matter, and that it is there does not either."""
    layer, codes, _ = made(name)
    others = tree.map_structure(lambda v: 1.0 - 3.0 * v, codes)
    results = []
    for written in (codes, put(codes, [1], others)):
        memory = layer.write(written, WEIGHTS, seed=1, training=True)
        results.append(all_of(layer, codes, memory))
    agree(*results, 0.0)
    assert differ(layer.write(others), layer.write(codes))
    padded = layer.write(codes, WEIGHTS)
    short = layer.write(take(codes, PRESENT))
    agree(layer.read(codes, padded), layer.read(codes, short))
    if not layer.enumerates:
        draws = [layer.sample(codes, m, seed=5) for m in (padded, short)]
        agree(draws[0].kl, draws[1].kl, 1e-4)
        return
    # Whose draws are of one entry or another: at the same they agree.
    at = functools.partial(layer.sample_address, codes, seed=5)
    agree(at(memory=padded, address=2), at(memory=short, address=1))
    assert np.all(at(memory=padded, address=1).log_ratio < -1e29)


# Counts are weights that are not trained.
@pytest.mark.parametrize(
    "name", [n for n, case in MEMORIES.items() if case.get("num_frozen")]
)
def test_an_absent_code_leaves_no_trace_in_what_training_counts(name):
    layer, codes, memory = made(name)
    others = tree.map_structure(lambda v: 1.0 - 3.0 * v, codes)
    states = []
    for sampled in (codes, put(codes, [1], others)):
        copy = copy_of(layer)
        copy.sample(sampled, memory, 5, training=True, weights=WEIGHTS)
        states.append(copy.get_weights())
    agree(*states, 1e-6)


@storing
def test_the_order_of_codes_matters_where_it_is_said_to(name):
    layer, codes, memory = made(name)
    turned = layer.write(take(codes, [3, 1, 0, 2]))
    reads = [layer.read(codes, written) for written in (memory, turned)]
    if layer.depends_on_order:
        one, other = map(leaves, reads)
        assert np.max(np.abs(one[0] - other[0])) > 1e-3
    else:
        agree(*reads, 1e-4)


@every
def test_a_copy_by_its_configuration_does_the_same(name):
    layer, codes, memory = made(name)
    copy = copy_of(layer)
    assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
    again = copy.write(codes)
    assert (again is None) == (memory is None)
    if layer.stores:
        agree(again, memory, 0.0)
    agree(all_of(copy, codes, again), all_of(layer, codes, memory), 0.0)


@those(lambda memory: memory.streams)
def test_a_write_in_parts_with_some_taken_out_is_a_write_of_the_rest(name):
    layer, codes, memory = made(name)
    queries = codes + 0.3 * noise(*codes.shape)

    def same(statistics, expected):
        assert statistics.shape == (B, *layer.statistics_shape)
        written = layer.write_statistics(statistics)
        agree(shapes(written), shapes(expected))
        for method in (layer.read, layer.latent_energy):
            agree(method(queries, written), method(queries, expected), 1e-4)
        draws = [layer.sample(queries, m, seed=5) for m in (written, expected)]
        agree(draws[0].kl, draws[1].kl, 1e-4)

    first = layer.accumulate(take(codes, [0, 1]))
    both = layer.accumulate(take(codes, [2, 3]), first)
    same(both, memory)
    rest = layer.write(take(codes, PRESENT))
    same(layer.remove(take(codes, [1]), both), rest)
    same(layer.accumulate(codes, weights=WEIGHTS), rest)
    same(layer.remove(codes, both, 1.0 - WEIGHTS), rest)


@those(lambda memory: memory.leaves_each_out)
def test_a_code_left_out_is_as_if_never_written(name):
    layer, codes, memory = made(name)
    others = layer.leave_each_out(codes, memory)
    together = layer.sample(codes, others, seed=5).kl
    full = layer.sample(codes, memory, seed=5).kl
    assert differ(full, together)
    for t in range(T):
        weights = np.ones((B, T), "float32")
        weights[:, t] = 0.0
        alone = layer.sample(codes, layer.write(codes, weights), seed=5).kl
        for term, value in alone.items():
            np.testing.assert_allclose(
                together[term][:, t], value[:, t], rtol=1e-4, atol=1e-5
            )


@every
def test_how_many_numbers_a_memory_holds(name):
    layer, codes, _ = made(name)
    for length in (2, T):
        memory = layer.write(take(codes, range(length)))
        images = None
        if layer.stores:
            images = layer.images_of(memory)
        # Those of images are theirs, learned ones among them.
        held = memory if images is None else images
        numbers = sum(v.size for v in leaves(held)) if layer.stores else 0
        assert layer.memory_floats(length) * B == numbers


@every
def test_energies_residuals_and_diagnostics_are_of_each_image(name):
    layer, codes, memory = made(name)
    energy = layer.latent_energy(codes, memory)
    read = layer.read(codes, memory)
    residual = layer.residual(codes, read, memory)
    assert energy.shape == residual.shape == (B, T)
    assert np.all(np.isfinite(energy)) and np.all(residual >= 0.0)
    own = layer.latents_of(codes)
    none = layer.residual(codes, own, memory)
    np.testing.assert_allclose(none, 0.0, atol=1e-6)
    for value in layer.diagnostics(codes, memory).values():
        assert value.shape == () and np.isfinite(value)


@storing
def test_a_memory_is_shown_and_drawn_from(name):
    layer, codes, memory = made(name)
    rows = layer.rows(memory)
    assert len(rows.shape) == 3 and rows.shape[0] == B
    images = layer.images_of(memory)
    assert images is None or images.shape[:2] == rows.shape[:2]
    # A point stays one, whichever seed it is drawn by.
    drawn = layer.draw(memory, tf.constant([1, 2]))
    agree(layer.draw(drawn, tf.constant([3, 4])), drawn, 0.0)
    has_density = KL_MEMORY in layer.term_names
    assert (
        differ(drawn["mean"], memory["mean"])
        if has_density
        else (drawn is memory)
    )
    assert shapes(layer.sample(codes, drawn, seed=5)) == shapes(
        layer.sample(codes, memory, seed=5)
    )


@those(lambda memory: not memory.stores)
def test_what_stores_nothing_takes_plain_batches(name):
    layer, codes, _ = made(name)
    agree(layer.read(codes[1], None), layer.read(codes, None)[1])
    draw = layer.sample(codes[1], None, seed=5)
    assert all(v.shape == (T,) for v in (*draw.kl.values(), draw.log_ratio))
    assert draw.latents.shape == codes.shape[1:]
    agree(
        layer.latent_energy(codes[1], None), layer.latent_energy(codes, None)[1]
    )
    assert layer.why_not_stored.startswith(("which ", "whose "))


@those(lambda memory: memory.enumerates)
def test_addresses_make_a_distribution(name):
    """sum_a p(a) E_q[p(z | a) / q(z | x, a)] = 1, over those that are there."""
    layer, codes, _ = made(name)
    many = tree.map_structure(lambda v: tf.repeat(v, 500, axis=1), codes)
    memory = layer.write(codes, WEIGHTS)
    count = layer.num_addresses(memory)
    weights = [
        np.exp(layer.sample_address(many, memory, a, seed=5).log_ratio)
        for a in range(count)
    ]
    total = np.reshape(sum(weights), (B, T, 500)).astype("float64")
    error = total.std(axis=-1) / np.sqrt(500)
    assert np.all(error < 0.1)
    assert np.all(np.abs(total.mean(axis=-1) - 1.0) < 5.0 * error)
    assert not np.any(weights[1])


@every
def test_flags_agree_with_each_other(name):
    layer = made(name)[0]
    assert layer.stores or not (layer.streams or layer.leaves_each_out)
    assert layer.leaves_each_out or not layer.explains_itself
    assert not (layer.streams and layer.depends_on_order)


def test_a_memory_of_ones_own_needs_no_more_than_reads_and_writes():
    """The mean code, with what the base class has for it."""

    class Mean(layers.Memory):
        def prior(self, batch_size):
            return {"mean": tf.zeros((batch_size, 1, 6))}

        def write(self, codes, weights=None, seed=None, training=False):
            weights = self.weights_of(codes, weights)[..., None]
            total = tf.reduce_sum(weights * codes, axis=1, keepdims=True)
            return {"mean": total / tf.reduce_sum(weights, 1, keepdims=True)}

        def read(self, codes, memory):
            return tf.zeros_like(codes) + memory["mean"]

        def sample(self, codes, memory, seed, training=False, weights=None):
            latents = self.read(codes, memory)
            return layers.Draw(latents, {}, tf.zeros(codes.shape[:2]))

    layer, codes = Mean(), tf.constant(noise(B, T, 6))
    layer.build()
    memory = layer.write(codes, WEIGHTS)
    assert layer.get_config()["dtype"]["config"]["name"] == "float32"
    mean = codes.numpy()[:, PRESENT].mean(axis=1)
    np.testing.assert_allclose(memory["mean"][:, 0], mean, atol=1e-6)
    error = np.square(codes - mean[:, None]).sum(axis=-1)
    read = layer.read(codes, memory)
    np.testing.assert_allclose(
        layer.residual(codes, read, memory), error, rtol=1e-5
    )
    assert layer.images_of(memory) is None
    assert layer.rows(memory) is memory["mean"]
    assert layer.draw(memory, 0) is layer.recall(memory) is memory
    assert layer.statistics_shape == ()
    np.testing.assert_array_equal(
        layer.latent_energy(codes, memory), np.zeros((B, T))
    )
    with pytest.raises(UserError, match="received one with Mean, which has"):
        layer.sample_prior(memory, 3, seed=0)
    for call in (
        lambda: layer.kl(memory),
        lambda: layer.accumulate(codes),
        lambda: layer.remove(codes, None),
        lambda: layer.write_statistics(None),
        lambda: layer.leave_each_out(codes, memory),
        lambda: layer.num_addresses(memory),
        lambda: layer.sample_address(codes, memory, 0, 0),
    ):
        with pytest.raises(NotImplementedError):
            call()


@pytest.mark.slow
@every
def test_half_precision_codes_and_policy_leave_divergences_alone(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = fresh(name)
    finally:
        keras.config.set_dtype_policy(before)
    assert layer.dtype_policy.name == "float32"
    _, codes, _ = made(name)
    # An encoder of images gives but their maps so.
    maps = codes["skips"] if isinstance(codes, dict) else codes
    half = tree.map_structure(lambda v: tf.cast(v, "bfloat16"), maps)
    if isinstance(codes, dict):
        half = {**codes, "skips": half}
    memory = layer.write(half, seed=1, training=True)
    draw = layer.sample(half, memory, seed=2)
    numbers = [draw.kl, draw.log_ratio, draw.losses]
    if layer.stores:
        numbers.append(memory)
    if KL_MEMORY in layer.term_names:
        numbers.append(layer.costs(memory, WEIGHTS))
    assert {v.dtype for v in tree.flatten(numbers)} <= {tf.float32}
    exact = made(name)[0].sample(codes, made(name)[2], seed=2)
    assert shapes(exact) == shapes(draw)


@pytest.mark.slow
@every
def test_a_graph_need_not_know_the_number_of_episodes_or_codes(name):
    layer, codes, memory = made(name)

    def use(codes, weights):
        memory = layer.write(codes, weights)
        found = all_of(layer, codes, memory)
        if layer.stores:
            found.append(memory)
        if KL_MEMORY in layer.term_names:
            found.append(layer.costs(memory, weights))
        return found

    spec = tree.map_structure(
        lambda v: tf.TensorSpec((None, None, *v.shape[2:]), v.dtype), codes
    )
    graph = tf.function(
        use, input_signature=[spec, tf.TensorSpec((None, None))]
    )
    agree(graph(codes, WEIGHTS), use(codes, WEIGHTS), 1e-3)


def test_what_is_no_memory_is_refused():
    memory = layers.NoBottleneck()
    assert layers.as_memory(memory) is memory
    with pytest.raises(UserError, match="kgpm.layers.Memory .*received 'gpm'"):
        layers.as_memory("gpm")
    with pytest.raises(UserError, match="kgpm.layers.Memory"):
        layers.as_memory(keras.layers.Flatten())
