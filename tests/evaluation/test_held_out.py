"""Scores under a memory of the others, of every model of the table."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm.evaluation.held_out import held_out_terms
from tests.models.conftest import rows
from tests.models.conftest import stores
from tests.models.conftest import three_episodes
from tests.models.conftest import untouched


@pytest.mark.parametrize("name", rows(stores, quick=()))
def test_held_out_is_a_write_without_the_image(name):
    """Averaged over seeds, because the draws differ."""
    model, images = untouched(name), three_episodes()
    weights = np.ones((3, 5), "float32")
    weights[2, 4] = 0.0
    held_out = tf.function(
        lambda seed: held_out_terms(model, images, weights, seed)
    )
    query = tf.function(model.query_terms)
    write = tf.function(model.write)
    name = next(n for n in model.term_names if n.startswith("kl_"))
    position = 2
    others = weights.copy()
    others[:, position] = 0.0
    mean = {"nll": [], name: []}
    direct = {"nll": [], name: []}
    for seed in range(40):
        all_terms = held_out(tf.constant([seed, 0]))
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


def test_held_out_noise_differs_between_images():
    """Of five copies of one image each is scored by a draw of its own."""
    copies = np.repeat(three_episodes()[:, :1], 5, axis=1)
    nll = held_out_terms(untouched("gpm"), copies, seed=1)["nll"].numpy()
    # Apart by more than the rounding of one and the same draw.
    assert np.all(np.diff(np.sort(nll, axis=1), axis=1) > 1e-4)


def test_without_a_memory_it_is_the_score_of_the_image():
    """As figure A of an evaluation has it, noise and all."""
    model, images = untouched("vae"), three_episodes()
    terms = held_out_terms(model, images, seed=3)
    for name, value in model.query_terms(images, seed=3).items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-6)
