"""What the slot model does with each of its reads."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.evaluation.held_out import held_out_terms
from kgpm.models import SlotMemoryVAE

from .conftest import SMALL
from .conftest import slot_vae
from .conftest import untouched

READS = ("categorical", "softmax")


@pytest.mark.parametrize("name", ["slot_vae", "slot_vae_softmax"])
def test_reads_stream(images, name):
    model = untouched(name)
    assert model.streams
    statistics = model.update(images[:, 2:], model.update(images[:, :2]))
    np.testing.assert_allclose(
        model.read(images, model.write_statistics(statistics)),
        model.read(images, model.write(images)),
        atol=2e-3,
    )


def test_slots_are_the_codes_of_the_images(images):
    model = slot_vae(8)
    memory = model.write(images)
    codes = model.encode(images)
    np.testing.assert_array_equal(memory["mean"][:, :5], codes)
    np.testing.assert_array_equal(memory["count"].numpy().sum(1), 5.0)


@pytest.mark.slow
@pytest.mark.parametrize("read", READS)
def test_more_images_than_slots_share_them(read, images):
    """In whatever order they come; and every method goes on working."""
    model = slot_vae(3, read=read)
    memory = model.write(images)
    assert memory["mean"].shape == (3, 3, 10)
    np.testing.assert_array_equal(memory["count"].numpy().sum(1), 5.0)
    shuffled = model.write(images[:, [3, 1, 4, 0, 2]])
    np.testing.assert_allclose(
        model.read(images, shuffled), model.read(images, memory), atol=1e-4
    )
    assert not model.depends_on_order
    terms = held_out_terms(model, images, seed=1)
    assert all(np.all(np.isfinite(value)) for value in terms.values())


@pytest.mark.parametrize("read", READS)
@pytest.mark.slow
def test_the_held_out_part_of_the_loss_is_figure_b(read, images):
    """Its divergences exactly, its pixels over 40 draws."""
    model = slot_vae(8, held_out_weight=0.7, read=read, write_noise=0.0)
    weights = np.ones((3, 5), "float32")
    trained = tf.function(model.training_terms)
    figure = tf.function(
        lambda seed: held_out_terms(model, images, weights, seed)
    )
    a, b = [], []
    for seed in range(40):
        seed = tf.constant([seed, 0])
        a.append(trained(images, weights, seed)["held_out"])
        b.append(ops.nelbo(figure(seed)))
    a, b = np.array(a), np.array(b)
    error = np.sqrt((a.var(0) + b.var(0)) / 40) + 1e-3
    assert np.all(np.abs(a.mean(0) - b.mean(0)) < 5.0 * error)
    assert model.auxiliary_weights["held_out"] == 0.7


def test_the_loss_has_no_part_in_the_bound(images):
    """As for the autoencoder's term: the same weights, the same nelbo."""
    values = []
    for weight in (0.0, 2.0):
        model = slot_vae(held_out_weight=weight, hidden_size=16)
        model.set_weights(untouched("slot_vae").get_weights())
        values.append(ops.nelbo(model.bound_terms(images, seed=1)))
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("read", READS)
def test_slots_are_written_with_noise_in_training_alone(read, images):
    """By default as GPM's rows are: a regulariser."""
    model = SlotMemoryVAE(memory_size=8, read=read, **SMALL)
    codes = model.encode(images)
    training, use = (
        model.memory.write(codes, None, 1, training)["mean"][:, :5]
        for training in (True, False)
    )
    # Of 150 numbers, each once.
    assert np.std(training - codes) == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(use, codes)
    name = model.term_names[1]
    a, b, c, d = (
        model.bound_terms(images, seed=seed, training=training)[name].numpy()
        for training in (True, False)
        for seed in (0, 1)
    )
    assert np.any(a != b)
    np.testing.assert_array_equal(c, d)
