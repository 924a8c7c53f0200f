"""What Kanerva++ and its ablation have beyond every model."""

import random

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm import layers
from kgpm.evaluation.evaluation import evaluate
from kgpm.models import DenseMemoryAblation
from kgpm.models import KanervaPlusPlus

from .conftest import compiled
from .conftest import untouched


@pytest.fixture(params=["kpp", "kpp_dense"])
def keyed(request):
    return untouched(request.param)


def test_keys_place_what_is_generated(keyed, images):
    memory = keyed.write(images)
    keys = keyed.memory.keys_of(keyed.encode(images))
    assert keys.shape == (3, 5, 2, 3)
    latents = keyed.memory.sample_at(memory, keys, 1)
    new = keyed.generate_from(latents, memory, num_steps=2)
    assert new.shape == (3, 2, 5, 8, 8, 1)
    first = keyed.likelihood.point(keyed.decode(latents), 0.5)
    np.testing.assert_array_equal(new[:, 0], first)
    again = keyed.memory.sample_at(memory, keys, 1)
    np.testing.assert_array_equal(latents, again)
    moved = keyed.memory.sample_at(memory, keys + 0.5, 1)
    assert np.any(np.abs(moved - latents) > 1e-4)


def test_keys_of_another_shape_are_refused(keyed, images):
    memory = keyed.write(images)
    with pytest.raises(UserError, match=r"keys of shape \[B, N, 2, 3\]"):
        keyed.memory.sample_at(memory, np.zeros((3, 5, 3)), 0)


def test_the_decoder_sees_the_latent_alone(keyed, images):
    """Another memory changes the divergence of z and nothing else."""
    memory = keyed.write(images)
    other = {name: value[::-1] for name, value in memory.items()}
    own = keyed.query_terms(images, memory, seed=1)
    wrong = keyed.query_terms(images, other, seed=1)
    np.testing.assert_array_equal(own["nll"], wrong["nll"])
    np.testing.assert_array_equal(own["kl_y"], wrong["kl_y"])
    assert np.all(own["kl_z"].numpy()[[0, 2]] != wrong["kl_z"].numpy()[[0, 2]])


@pytest.mark.slow
def test_figures_differ_by_the_memory_alone(keyed, images):
    """An evaluation gives A and C the same noise."""
    # In one batch: another size would be traced again.
    data = tf.data.Dataset.from_tensor_slices(images).batch(3)
    figures = evaluate(keyed, data, num_draws=2)["figures"]
    for name in ("C_prior", "C_other"):
        nll, kl_z = (figures[name][term]["mean"] for term in ("nll", "kl_z"))
        assert nll == pytest.approx(figures["A"]["nll"]["mean"], rel=1e-5)
        assert kl_z != pytest.approx(figures["A"]["kl_z"]["mean"], rel=1e-5)


def test_a_read_is_from_the_prior_and_not_from_the_query(keyed, images):
    """Two memories answer the same query differently."""
    memory = keyed.write(images)
    other = {name: value[::-1] for name, value in memory.items()}
    first = keyed.read(images, memory).numpy()
    second = keyed.read(images, other).numpy()
    np.testing.assert_allclose(first[1], second[1], atol=1e-6)
    assert np.any(np.abs(first[0] - second[0]) > 1e-6)


def test_a_step_moves_statistics_and_singular_vectors(keyed, images):
    # One step is sooner taken than traced.
    compiled(keyed, run_eagerly=True)
    before = {v.path: v.numpy() for v in keyed.non_trainable_variables}
    keyed.train_on_batch({"images": images})
    moved = {
        path.rsplit("/", 1)[1]
        for v, (path, old) in zip(
            keyed.non_trainable_variables, before.items(), strict=True
        )
        if np.any(v.numpy() != old)
    }
    expected = {"left_vector"}
    if keyed.encoder.mixes_images:
        expected |= {"moving_mean", "moving_variance"}
    assert moved >= expected
    state = [v.numpy() for v in keyed.non_trainable_variables]
    keyed.evaluate(images, verbose=0)
    for v, old in zip(keyed.non_trainable_variables, state, strict=True):
        np.testing.assert_array_equal(v, old)


@pytest.mark.slow
def test_the_ablation_differs_by_less_than_one_percent():
    random.seed(0)
    block = layers.BlockMemory(
        128,
        100,
        memory_size=32,
        window_size=16,
        width=16,
        hidden_size=128,
        activation="linear",
    )
    networks = {"code_size": 128, "width": 16}
    whole = KanervaPlusPlus(memory=block, **networks)
    dense = layers.DenseMemory.matching(block)
    assert (dense.hidden_size, dense.activation) == (128, "linear")
    ablation = DenseMemoryAblation(memory=dense, **networks)
    difference = abs(ablation.count_params() - whole.count_params())
    assert difference < 0.01 * (
        block.writer.count_params() + block.trace_prior.count_params()
    )
    twin = DenseMemoryAblation.from_config(ablation.get_config())
    assert twin.count_params() == ablation.count_params()


def test_the_default_ablation_matches_the_default_memory():
    sizes = {"code_size": 64, "latent_size": 20, "width": 8}
    ablation = DenseMemoryAblation(**sizes)
    block = KanervaPlusPlus(**sizes).memory
    expected = layers.DenseMemory.matching(block).projection_size
    assert ablation.memory.projection_size == expected


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_shape": (16, 16, 1)}, "17 pixels"),
        ({"image_shape": (65, 65, 1)}, "4 to 64 pixels"),
        ({"memory_size": 31}, "window_size=32, memory_size=31"),
        ({"width": [4, 8]}, "width"),
    ],
)
def test_what_makes_no_network_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        KanervaPlusPlus(**options)
