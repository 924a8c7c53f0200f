"""The figures of an evaluation against a plain one, of every model."""

import types

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.evaluation import batch_scores
from kgpm.evaluation import importance_weights
from kgpm.evaluation.evaluation import evaluate
from kgpm.evaluation.held_out import held_out_terms
from kgpm.evaluation.held_out import leaves_out_at_once
from tests.models.conftest import batches
from tests.models.conftest import rows
from tests.models.conftest import stores
from tests.models.conftest import three_episodes
from tests.models.conftest import untouched

# Three episodes of five images, two in a batch: the last batch is smaller. (Of
# one image less its others would be two, equally far from their mean, and slots
# are filled farthest first: a tie that rounding decides.)
WEIGHTS = np.ones((3, 5), "float32")
WEIGHTS[2, 4:] = 0.0
NUM_SAMPLES = 7


def log_mean_weight(model, images, codes, memory, draw_seed, seed):
    """One sample after the other, all of it in float64 but the model."""
    memory = model.memory.draw(memory, draw_seed)
    log_weights = []
    for index in range(NUM_SAMPLES):
        seeds = ops.split_seed(ops.fold_in(seed, index), 2)
        draw = model.sample_latents(codes, memory, seeds[0])
        log_prob = model.likelihood.log_prob(
            images, model.decode(draw.latents), seeds[1]
        )
        log_weights.append(np.asarray(draw.log_ratio + log_prob, "float64"))
    return np.logaddexp.reduce(log_weights, axis=0) - np.log(NUM_SAMPLES)


class Plain:
    """Figures as their definitions have them, nothing shared and no padding.

    Each batch alone, encoded and written again for each figure.
    """

    def __init__(self, model):
        self.model = model
        self.bound = tf.function(
            lambda images, weights, seed: model.bound_terms(
                images, weights, seed
            )
        )
        self.query = tf.function(
            lambda images, memory, seed, weights: model.query_terms(
                images, memory, seed, weights
            )
        )
        self.held_out = tf.function(
            lambda images, weights, seed: held_out_terms(
                model, images, weights, seed
            )
        )

    def figures(self, dataset, seed):
        """Terms of all images by figure and name, `[N]`."""
        found = {}

        def add(figure, terms, weights):
            for name, value in terms.items():
                if name == "usage":
                    continue
                parts = found.setdefault(figure, {}).setdefault(name, [])
                parts.append(np.asarray(value, "float64")[weights > 0])

        model, before = self.model, None
        for index, batch in enumerate(dataset):
            images, weights = batch["images"], batch["weights"].numpy()
            own = ops.fold_in(ops.fold_in(ops.make_seed(seed), index), 0)
            terms = dict(self.bound(images, weights, own))
            if not model.memory.stores:
                terms |= self.tighter(images, weights, None, own)
                add("A", terms, weights)
                continue
            write_seed, read_seed = ops.split_seed(own, 2)
            memory = model.write(images, weights, write_seed)
            terms |= self.tighter(images, weights, memory, own)
            add("A", terms, weights)
            terms = dict(self.held_out(images, weights, own))
            terms |= self.tighter_held_out(images, weights, own)
            add("B", terms, weights)
            prior = model.memory.prior(len(weights))
            terms = self.query(images, prior, read_seed, weights)
            add("C_prior", terms, weights)
            last = tf.nest.map_structure(lambda m: m[-1:], memory)
            if before is None:
                before = last
            other = tf.nest.map_structure(
                lambda b, m: tf.concat([b, m[:-1]], axis=0), before, memory
            )
            terms = self.query(images, other, read_seed, weights)
            add("C_other", terms, weights)
            before = last
        return {
            figure: {name: np.concatenate(v) for name, v in parts.items()}
            for figure, parts in found.items()
        }

    def tighter(self, images, weights, memory, seed):
        model = self.model
        if not model.memory.draws or model.memory.why_no_bound:
            return {}
        _, draw_seed, seed = ops.split_seed(seed, 3)
        codes = model.encode(images, weights)
        value = log_mean_weight(model, images, codes, memory, draw_seed, seed)
        return {"nelbo_iw": -value}

    def tighter_held_out(self, images, weights, seed):
        """Image by image, from a write of the others."""
        model, values = self.model, []
        codes = model.encode(images, weights)
        if leaves_out_at_once(model, images.shape[1]):
            memory = model.leave_each_out(codes, weights)
            seeds = ops.split_seed(seed, 2)
            value = log_mean_weight(model, images, codes, memory, *seeds)
            return {"nelbo_iw": -value}
        for place in range(images.shape[1]):
            others = weights.copy()
            others[:, place] = 0.0
            own = ops.fold_in(seed, place)
            write_seed, read_seed = ops.split_seed(own, 2)
            memory = model.write(images, others, write_seed)
            seeds = ops.split_seed(read_seed, 2)
            here = slice(place, place + 1)
            code = tf.nest.map_structure(lambda v, here=here: v[:, here], codes)
            values.append(
                log_mean_weight(model, images[:, here], code, memory, *seeds)
            )
        return {"nelbo_iw": -np.concatenate(values, axis=1)}


@pytest.mark.slow
@pytest.mark.parametrize("name", rows(quick=()))
def test_figures_are_those_of_a_plain_evaluation(name, monkeypatch):
    """Also of the last, smaller batch, and over several passes of samples."""
    model = untouched(name)
    dataset = batches(three_episodes(), WEIGHTS)
    monkeypatch.setattr(
        importance_weights, "_samples_at_once", lambda images, number: 3
    )
    result = evaluate(model, dataset, seed=4, num_importance_samples=7)
    expected = Plain(model).figures(dataset, 4)
    assert {k for k, f in result["figures"].items() if f} - {"A_order"} == set(
        expected
    )
    for figure, terms in expected.items():
        terms["nelbo"] = ops.nelbo(
            {n: v for n, v in terms.items() if n != "nelbo_iw"}
        )
        found = result["figures"][figure]
        for term, values in terms.items():
            assert len(values) == 14
            np.testing.assert_allclose(
                found[term]["mean"],
                np.mean(values),
                rtol=2e-4,
                atol=1e-6,
                err_msg=f"{figure} {term}",
            )


@pytest.mark.parametrize("at_once", [1, 2, 7, 100])
def test_how_many_samples_pass_at_once_changes_nothing(at_once, monkeypatch):
    model, images = untouched("km"), three_episodes()
    bounds = importance_weights.importance_weighted_bounds
    expected = bounds(model, images, None, NUM_SAMPLES, seed=2)
    monkeypatch.setattr(
        importance_weights, "_samples_at_once", lambda *_: at_once
    )
    found = bounds(model, images, None, NUM_SAMPLES, seed=2)
    np.testing.assert_allclose(
        found["nelbo_iw"], expected["nelbo_iw"], rtol=1e-5
    )


def test_samples_of_a_pass_are_within_the_budget():
    at_once = importance_weights._samples_at_once
    budget = importance_weights._BYTES_AT_ONCE
    of_one = 4 * importance_weights._NUMBERS_OF_A_PIXEL * 28 * 28
    small = tf.zeros((8, 1, 28, 28, 1))
    assert at_once(small, 100) == 100
    # In passes of one size: 2 of 700 and not one of 1,337 and a rest.
    assert at_once(tf.zeros((1, 1, 28, 28, 1)), 1400) == 700
    large = tf.zeros((8, 16, 28, 28, 1))
    assert 1 < at_once(large, 100) <= budget / of_one / 128
    assert at_once(tf.zeros((512, 32, 28, 28, 1)), 100) == 1
    unknown = tf.keras.Input((16, 28, 28, 1))
    assert at_once(unknown, 100) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", rows(stores, quick=()))
def test_each_way_to_score_is_traced_once(name, monkeypatch):
    """Three batches, of which the last is smaller."""
    made = []

    class Recorded(batch_scores.BatchScores):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("kgpm.evaluation.figures.BatchScores", Recorded)
    model, images = untouched(name), np.concatenate([three_episodes()] * 2)
    weights = np.concatenate([WEIGHTS, WEIGHTS])
    evaluate(model, batches(images[:5], weights[:5]), num_importance_samples=2)
    [scores] = made
    ways = {"encode": 1, "write": 1, "held_out": 1, "read": 1, "tighter": 1}
    # A memory to which nothing was written has no images to look at there.
    ways["read"] += "images" in model.memory.prior(2)
    if model.memory.why_no_bound or not model.memory.draws:
        ways["tighter"] = 0
    for way, traces in ways.items():
        count = getattr(scores, way).experimental_get_tracing_count()
        assert count == traces, way


@pytest.mark.parametrize("name", ["slot_vae", "slot_vae_softmax"])
def test_leaving_out_at_once_is_a_write_without_the_image(name):
    """What is no draw, to rounding: with a slot for each image."""
    model = untouched(name)
    length = model.memory.memory_size
    images = np.concatenate([three_episodes()] * 2, axis=1)[:, :length]
    images[:, 5:] = 1.0 - images[:, 5:]
    weights = np.ones((3, length), "float32")
    weights[2, 3:] = 0.0
    assert leaves_out_at_once(model, length)
    terms = held_out_terms(model, images, weights, seed=1)
    for place in range(length):
        others = weights.copy()
        others[:, place] = 0.0
        memory = model.write(images, others)
        one = model.query_terms(images, memory, seed=1)
        present = weights[:, place] > 0
        for term in model.memory.term_names:
            np.testing.assert_allclose(
                np.asarray(terms[term])[present, place],
                np.asarray(one[term])[present, place],
                rtol=1e-4,
                atol=1e-5,
            )


def test_codes_that_share_slots_are_left_out_by_writes():
    """The mean of a shared slot would give the image left out away."""
    model = untouched("slot_vae")
    size = model.memory.memory_size
    assert leaves_out_at_once(model, size)
    assert not leaves_out_at_once(model, size + 1)
    assert not leaves_out_at_once(model, tf.constant(size))
    assert not leaves_out_at_once(untouched("gpm"), 2)
    # Codes that have seen each other would, too.
    mixed = types.SimpleNamespace(
        memory=model.memory, encoder=types.SimpleNamespace(mixes_images=True)
    )
    assert not leaves_out_at_once(mixed, size)
