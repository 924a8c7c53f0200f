"""Importance-weighted bounds, of every model of the table."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm import ops
from kgpm.evaluation.importance_weights import held_out_bounds
from kgpm.evaluation.importance_weights import importance_weighted_bounds
from tests.models.conftest import QUICKEST
from tests.models.conftest import memory_of
from tests.models.conftest import rows
from tests.models.conftest import three_episodes
from tests.models.conftest import untouched


@pytest.fixture
def gpm():
    return untouched("gpm")


@pytest.fixture
def images():
    return three_episodes()


def mean_weight(model, images, codes, memory, num_samples, seed):
    """ln of the mean weight of draws by the seeds that are said to be used."""

    @tf.function
    def log_weight(index):
        draw_seed, pixel_seed = ops.split_seed(ops.fold_in(seed, index), 2)
        draw = model.sample_latents(codes, memory, draw_seed)
        parameters = model.decode(draw.latents)
        return draw.log_ratio + model.likelihood.log_prob(
            images, parameters, pixel_seed
        )

    values = [log_weight(tf.constant(index)) for index in range(num_samples)]
    values = np.array(values, "float64")
    return np.logaddexp.reduce(values, axis=0) - np.log(num_samples)


@pytest.mark.parametrize("name", rows(lambda m: not m.memory.draws))
def test_without_noise_it_is_the_bound(name, images):
    model = untouched(name)
    one = model.query_terms(images, None, 0)
    weighted = importance_weighted_bounds(model, images, None, 3, seed=1)
    np.testing.assert_allclose(ops.nelbo(one), weighted["nelbo_iw"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", rows(lambda m: m.memory.draws, QUICKEST))
def test_one_sample_is_the_elbo_in_expectation_and_200_are_above(name, images):
    model, images = untouched(name), images[:1]
    memory = memory_of(model, images)
    score = tf.function(lambda seed: model.query_terms(images, memory, seed))

    @tf.function
    def weigh(samples, seed):
        return -importance_weighted_bounds(
            model, images, memory, samples, seed
        )["nelbo_iw"]

    seeds = [tf.constant([s, 1]) for s in range(120)]
    elbo = -np.array([ops.nelbo(score(s)) for s in seeds])
    single = np.array([weigh(1, s) for s in seeds])
    error = np.sqrt((elbo.var(0) + single.var(0)) / 120)
    assert np.all(np.abs(elbo.mean(0) - single.mean(0)) < 5.0 * error)
    weighted = weigh(200, tf.constant([0, 2])).numpy()
    assert np.all(elbo.mean(0) < weighted + 0.3)
    assert elbo.mean() < weighted.mean()


@pytest.mark.slow
def test_thousand_bounds_are_above_the_bound_of_a_thousand(gpm, images):
    """No slack: the mean of 1,000 one-sample bounds, and IWAE-1000."""
    images = images[:1]
    memory = gpm.write(images)
    score = tf.function(lambda seed: gpm.query_terms(images, memory, seed))
    nelbos = [ops.nelbo(score(tf.constant([s, 0]))) for s in range(1000)]
    weigh = tf.function(
        lambda: importance_weighted_bounds(gpm, images, memory, 1000, seed=2)
    )
    weighted = weigh()["nelbo_iw"].numpy()
    assert np.all(np.mean(nelbos, axis=0) >= weighted)


def test_it_is_of_the_mean_weight(gpm, images):
    """Of its very draws, from the memory that it was given, or its own."""
    codes = gpm.encode(images)
    _, _, seed = ops.split_seed(3, 3)
    bounds = []
    for memory in (gpm.write(1.0 - images), None):
        result = importance_weighted_bounds(gpm, images, memory, 6, seed=3)
        if memory is None:
            memory = gpm.write(images)
        expected = mean_weight(gpm, images, codes, memory, 6, seed)
        np.testing.assert_allclose(result["nelbo_iw"], -expected, rtol=1e-5)
        bounds.append(expected)
    assert np.all(np.abs(bounds[0] - bounds[1]) > 1e-3)
    assert np.all(mean_weight(gpm, images, codes, memory, 1, seed) != bounds[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpm", "dkm", "kpp"])
def test_held_out_bounds_are_of_the_memory_of_the_others(name, images):
    """By the seeds that it is said to use, one image at a time."""
    model = untouched(name)
    images, weights = images[:1], np.ones((1, 5), "float32")
    weights[0, 4] = 0.0
    held_out = tf.function(
        lambda: held_out_bounds(model, images, weights, 30, seed=3)
    )()
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
    expected = mean_weight(model, images[:, here], codes, memory, 30, seed)
    assert list(held_out) == ["nelbo_iw"]
    np.testing.assert_allclose(
        held_out["nelbo_iw"][:, here], -expected, rtol=1e-4
    )


def test_counts_below_one_are_refused(gpm, images):
    with pytest.raises(UserError, match="of at least 1, received 0"):
        importance_weighted_bounds(gpm, images, num_importance_samples=0)
    with pytest.raises(UserError, match="of at least 1, received 0"):
        held_out_bounds(gpm, images, num_importance_samples=0)
