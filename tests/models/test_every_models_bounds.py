"""The bounds of every model of the table in conftest.py."""

import numpy as np
import tensorflow as tf

from kgpm import ops

from .conftest import QUICKEST
from .conftest import SHAPE
from .conftest import make
from .conftest import memory_of
from .conftest import models_that
from .conftest import stores


# What explains itself is trained on other terms: see tests of VMA.
@models_that(lambda model: not model.memory.explains_itself)
def test_training_terms_are_the_bounds(model, images):
    """In training mode: with the write noise, and with the same weights."""
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


@models_that(stores)
def test_the_noise_of_a_read_is_known(model, images):
    """What figure C of an evaluation takes to differ by its memory alone."""
    write_seed, read_seed = ops.split_seed(ops.make_seed(3), 2)
    memory = model.write(images, seed=write_seed)
    terms = model.bound_terms(images, seed=3)
    expected = model.query_terms(images, memory, seed=read_seed)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-4, atol=1e-4)


# Where images see each other, codes depend on the other queries.
@models_that(lambda model: not model.encoder.mixes_images, QUICKEST)
def test_twice_the_queries_cost_the_same_each(model, images):
    """No term is summed over T, or divided by it twice."""
    memory = memory_of(model, images)
    twice = np.concatenate([images, images], axis=1)
    # Of any number of queries, traced once.
    score = tf.function(
        lambda images, seed: model.query_terms(images, memory, seed),
        input_signature=[
            tf.TensorSpec([3, None, *SHAPE]),
            tf.TensorSpec([2], "int32"),
        ],
    )
    once = [score(images, tf.constant([s, 0])) for s in range(40)]
    both = [score(twice, tf.constant([s, 1])) for s in range(40)]
    for name in once[0]:
        a = np.array([terms[name] for terms in once])
        b = np.array([terms[name] for terms in both])
        b = b.reshape(40, 3, 2, *a.shape[2:])
        for half in (b[:, :, 0], b[:, :, 1]):
            error = np.sqrt((a.var(0) + half.var(0)) / 40) + 1e-3
            assert np.all(np.abs(a.mean(0) - half.mean(0)) < 6.0 * error)


@models_that(lambda model: ops.KL_MEMORY in model.term_names)
def test_divergence_of_the_memory_is_shared_by_what_was_written(model, images):
    weights = np.ones((3, 5), "float32")
    weights[1, 2:] = 0.0
    terms = model.bound_terms(images, weights, seed=0)
    write_seed, _ = ops.split_seed(ops.make_seed(0), 2)
    memory = model.write(images, weights, write_seed)
    total = model.memory.kl(memory).numpy()
    share = (terms["kl_memory"].numpy() * weights).sum(1)
    np.testing.assert_allclose(share, total, rtol=1e-5)
    query = model.query_terms(images, memory, seed=0)
    assert ops.KL_MEMORY not in query
    whole = model.bound_terms(images, seed=0)["kl_memory"].numpy()
    memory = model.write(images, seed=write_seed)
    total = model.memory.kl(memory).numpy()
    np.testing.assert_allclose(whole.sum(1), total, rtol=1e-5)
    # An episode of padding alone must not make a metric NaN.
    nothing = model.bound_terms(images, np.zeros_like(weights), seed=0)
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
