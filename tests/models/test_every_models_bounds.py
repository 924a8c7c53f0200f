"""The bounds of every model of the table in conftest.py."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops

from .conftest import HELD_OUT
from .conftest import WITHOUT_NOISE
from .conftest import make
from .conftest import memory_of
from .conftest import untouched


def test_training_terms_are_the_bounds(name_of_model, images):
    """In training mode: with the write noise, and with the same weights."""
    if name_of_model in HELD_OUT:
        pytest.skip("see its own tests")
    model = make(name_of_model)
    weights = np.ones((3, 5), "float32")
    weights[1, 3:] = 0.0
    state = model.get_weights()
    terms = model.training_terms(images, weights, seed=2)
    # What a call in training changes, such as a norm's running statistics.
    model.set_weights(state)
    assert set(terms) == {
        *model.term_names,
        *model.auxiliary_weights,
        *model.figure_metrics(),
    }
    expected = model.bound_terms(images, weights, seed=2, training=True)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-4, atol=1e-4)


def test_the_noise_of_a_read_is_known(memory_model, images):
    """What figure C of an evaluation takes to differ by its memory alone."""
    write_seed, read_seed = ops.split_seed(ops.make_seed(3), 2)
    memory = memory_model.write(images, seed=write_seed)
    terms = memory_model.bound_terms(images, seed=3)
    expected = memory_model.query_terms(images, memory, seed=read_seed)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-4, atol=1e-4)


def test_held_out_is_a_write_without_the_image(memory_model, images):
    """Averaged over seeds, because the draws differ."""
    weights = np.ones((3, 5), "float32")
    weights[2, 4] = 0.0
    held_out = tf.function(memory_model.held_out_terms)
    query = tf.function(memory_model.query_terms)
    write = tf.function(memory_model.write)
    name = next(n for n in memory_model.term_names if n.startswith("kl_"))
    position = 2
    others = weights.copy()
    others[:, position] = 0.0
    mean = {"nll": [], name: []}
    direct = {"nll": [], name: []}
    for seed in range(40):
        all_terms = held_out(images, weights, tf.constant([seed, 0]))
        memory = write(images, others, tf.constant([seed, 5]))
        one = query(images, memory, tf.constant([seed, 9]), weights)
        for key in mean:
            mean[key].append(all_terms[key][:, position])
            direct[key].append(one[key][:, position])
    for key in mean:
        a, b = np.array(mean[key]), np.array(direct[key])
        # Five standard errors, and float32 where a write is near-singular.
        error = np.sqrt((a.var(0) + b.var(0)) / 40) + 2e-3 * b.mean(0)
        assert np.all(np.abs(a.mean(0) - b.mean(0)) < 5.0 * error)


@pytest.mark.parametrize("name", ["gpm", "dkm", "kpp"])
def test_held_out_bounds_are_of_the_memory_of_the_others(name, images):
    """By the seeds that it is said to use, one image at a time."""
    model = untouched(name)
    images, weights = images[:1], np.ones((1, 5), "float32")
    weights[0, 4] = 0.0
    held_out = tf.function(model.held_out_bounds)(images, weights, 30, seed=3)
    position = 1
    others = weights.copy()
    others[:, position] = 0.0
    seed = ops.fold_in(ops.make_seed(3), position)
    write_seed, read_seed = ops.split_seed(seed, 2)
    draw_seed, seed = ops.split_seed(read_seed, 2)
    memory = model.write(images, others, write_seed)
    memory = model.memory.draw(memory, draw_seed)
    here = slice(position, position + 1)
    codes = model.encode(images, weights)[:, here]
    expected = -model.weigh(images[:, here], codes, memory, 30, seed)
    assert list(held_out) == ["nelbo_iw"]
    np.testing.assert_allclose(
        held_out["nelbo_iw"][:, here], expected, rtol=1e-4
    )


def test_held_out_noise_differs_between_images(gpm, images):
    """Of five copies of one image each is scored by a draw of its own."""
    copies = np.repeat(images[:, :1], 5, axis=1)
    nll = gpm.held_out_terms(copies, seed=1)["nll"].numpy()
    # Apart by more than the rounding of one and the same draw.
    assert np.all(np.diff(np.sort(nll, axis=1), axis=1) > 1e-4)


def test_importance_weighted_bounds(name_of_model, model, images):
    """One sample is the ELBO in expectation, and 200 are above it."""
    if name_of_model in WITHOUT_NOISE:
        one = model.query_terms(images, None, 0)
        weighted = model.log_likelihood(images, None, 3, seed=1)
        np.testing.assert_allclose(-ops.nelbo(one), weighted, rtol=1e-5)
        return
    images = images[:1]
    memory = memory_of(model, images)
    score = tf.function(lambda seed: model.query_terms(images, memory, seed))
    weigh = tf.function(
        lambda samples, seed: model.log_likelihood(
            images, memory, samples, seed
        )
    )
    seeds = [tf.constant([s, 1]) for s in range(120)]
    elbo = -np.array([ops.nelbo(score(s)) for s in seeds])
    single = np.array([weigh(tf.constant(1), s) for s in seeds])
    error = np.sqrt((elbo.var(0) + single.var(0)) / 120)
    assert np.all(np.abs(elbo.mean(0) - single.mean(0)) < 5.0 * error)
    weighted = weigh(tf.constant(200), tf.constant([0, 2])).numpy()
    assert np.all(elbo.mean(0) < weighted + 0.3)
    assert elbo.mean() < weighted.mean()


def test_thousand_bounds_are_above_the_bound_of_a_thousand(gpm, images):
    """No slack: the mean of 1,000 one-sample bounds, and IWAE-1000."""
    images = images[:1]
    memory = gpm.write(images)
    score = tf.function(lambda seed: gpm.query_terms(images, memory, seed))
    nelbos = [ops.nelbo(score(tf.constant([s, 0]))) for s in range(1000)]
    weigh = tf.function(gpm.log_likelihood)
    weighted = -weigh(images, memory, 1000, seed=2).numpy()
    assert np.all(np.mean(nelbos, axis=0) >= weighted)


def test_log_likelihood_is_of_the_mean_weight(gpm, images, monkeypatch):
    """The weights of its very draws, from the memory that it was given."""
    draws, memories = [], []
    original = gpm.sample_latents

    def record(codes, memory, seed, *args):
        memories.append(memory)
        draws.append(original(codes, memory, seed, *args))
        return draws[-1]

    monkeypatch.setattr(gpm, "sample_latents", record)
    other = gpm.write(1.0 - images)
    result = gpm.log_likelihood(images, other, 6, seed=3)
    log_weights = [
        draw.log_ratio
        + gpm.likelihood.log_prob(images, gpm.decode(draw.latents))
        for draw in draws
    ]
    weights = np.exp(np.array(log_weights, "float64"))
    assert weights.shape == (6, 3, 5)
    np.testing.assert_allclose(result, np.log(weights.mean(0)), rtol=1e-5)
    assert np.all(weights.std(0) > 0.0)
    gpm.log_likelihood(images, num_importance_samples=1)
    for memory, expected in (
        (memories[0], other),
        (memories[-1], gpm.write(images)),
    ):
        np.testing.assert_allclose(memory["mean"], expected["mean"], atol=1e-5)


def test_twice_the_queries_cost_the_same_each(model, images):
    """No term is summed over T, or divided by it twice."""
    if model.mixes_images:
        pytest.skip("its codes depend on the other queries")
    memory = memory_of(model, images)
    twice = np.concatenate([images, images], axis=1)
    score = tf.function(model.query_terms)
    once = [score(images, memory, tf.constant([s, 0])) for s in range(40)]
    both = [score(twice, memory, tf.constant([s, 1])) for s in range(40)]
    for name in once[0]:
        a = np.array([terms[name] for terms in once])
        b = np.array([terms[name] for terms in both])
        b = b.reshape(40, 3, 2, *a.shape[2:])
        for half in (b[:, :, 0], b[:, :, 1]):
            error = np.sqrt((a.var(0) + half.var(0)) / 40) + 1e-3
            assert np.all(np.abs(a.mean(0) - half.mean(0)) < 6.0 * error)


def test_divergence_of_the_memory_is_shared_by_what_was_written(
    memory_model, images
):
    if ops.KL_MEMORY not in memory_model.term_names:
        pytest.skip("its memory has no density")
    weights = np.ones((3, 5), "float32")
    weights[1, 2:] = 0.0
    terms = memory_model.bound_terms(images, weights, seed=0)
    write_seed, _ = ops.split_seed(ops.make_seed(0), 2)
    memory = memory_model.write(images, weights, write_seed)
    total = memory_model.memory.kl(memory).numpy()
    share = (terms["kl_memory"].numpy() * weights).sum(1)
    np.testing.assert_allclose(share, total, rtol=1e-5)
    query = memory_model.query_terms(images, memory, seed=0)
    assert ops.KL_MEMORY not in query
    whole = memory_model.bound_terms(images, seed=0)["kl_memory"].numpy()
    memory = memory_model.write(images, seed=write_seed)
    total = memory_model.memory.kl(memory).numpy()
    np.testing.assert_allclose(whole.sum(1), total, rtol=1e-5)
    # An episode of padding alone must not make a metric NaN.
    nothing = memory_model.bound_terms(images, np.zeros_like(weights), seed=0)
    assert np.all(np.isfinite(nothing["kl_memory"]))


def test_written_and_scored_under_any_memory(images):
    """The memory is what `bound_terms` reads: another one, another bound."""
    for name in ("dkm", "km"):
        model = make(name)
        memory = model.write(images, seed=1)
        other = {key: value[::-1] for key, value in memory.items()}
        own = model.query_terms(images, memory, seed=2)["nll"].numpy()
        wrong = model.query_terms(images, other, seed=2)["nll"].numpy()
        # The middle episode's memory stayed its own.
        np.testing.assert_array_equal(own[1], wrong[1])
        assert np.all(own[[0, 2]] != wrong[[0, 2]])
