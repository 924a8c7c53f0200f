"""What holds for every model of the table in conftest.py."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm.evaluation import code_residual
from kgpm.evaluation import energy
from kgpm.evaluation.importance_weights import importance_weighted_bounds

from .conftest import SHAPE
from .conftest import make
from .conftest import memory_of
from .conftest import models_that
from .conftest import stores
from .conftest import untouched

# Shapes of a code and of a latent, where they are not of length 10 both.
GRID = {"code": (2, 2, 6), "latent": (2, 2, 6)}
SHAPES = {
    "kpp": {"code": (10,), "latent": (6,)},
    "kpp_dense": {"code": (10,), "latent": (6,)},
    # Of its nests, by the name of a part.
    "vma": {"code": (12,), "latent": (6,)},
    "memory_vae": GRID,
    "variational_memory_vae": GRID,
    "vq_vae": GRID,
    "grid_autoencoder": GRID,
}


def test_terms_are_per_image_and_named(model, images):
    terms = model.bound_terms(images, seed=1)
    figures = model.figure_metrics()
    assert set(terms) == {*model.term_names, *figures}
    assert tuple(terms)[0] == model.term_names[0] == "nll"
    for name, value in terms.items():
        assert value.shape[:2] == (3, 5)
        assert name == "usage" or len(value.shape) == 2
        assert value.dtype == tf.float32
        if name.startswith("kl_"):
            # To rounding, where a posterior is the prior.
            assert np.all(value.numpy() >= -1e-6)


def test_same_seed_same_weights(name_of_model, model):
    twin = make(name_of_model)
    for first, second in zip(
        model.get_weights(), twin.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_same_seed_same_terms(model, images):
    first = model.bound_terms(images, seed=3)["nll"].numpy()
    again = model.bound_terms(images, seed=3)["nll"].numpy()
    other = model.bound_terms(images, seed=4)["nll"].numpy()
    np.testing.assert_array_equal(first, again)
    if model.memory.draws:
        assert np.all(first != other)


@models_that(stores)
def test_absent_images_change_nothing(model, images):
    """An image of weight 0 is as good as not there."""
    weights = np.ones((3, 5), "float32")
    weights[:, 4] = 0.0
    padded = images.copy()
    padded[:, 4] = 1.0 - padded[:, 4]
    memory = model.write(images, weights)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        memory,
        model.write(padded, weights),
    )
    np.testing.assert_allclose(
        model.read(images, memory),
        model.read(images, model.write(images[:, :4])),
        atol=1e-2,
    )


def test_shapes_of_the_api(name_of_model, model, images):
    memory = memory_of(model, images)
    queries = images[:, :2]
    expected = SHAPES.get(name_of_model, {"code": (10,), "latent": (10,)})
    codes = model.encode(images)
    code = codes if tf.is_tensor(codes) else codes["features"]
    assert code.shape == (3, 5, *expected["code"])
    latents = model.memory.latents_of(codes)
    latent = latents if tf.is_tensor(latents) else latents["z"]
    assert latent.shape == (3, 5, *expected["latent"])
    assert model.decode(latents).shape == (3, 5, *SHAPE)
    assert model.read(queries, memory).shape == (3, 2, *SHAPE)
    steps = model.denoise(queries, memory, num_steps=3)
    assert steps.shape == (3, 3, 2, *SHAPE)
    assert set(np.unique(steps)) <= {0.0, 1.0}
    if model.memory.has_prior:
        new = model.generate(memory, num_samples=4, num_steps=2, seed=0)
        assert new.shape == (3 if model.memory.stores else 1, 2, 4, *SHAPE)
        assert set(np.unique(new)) <= {0.0, 1.0}
    assert model.reconstruct(queries).shape == queries.shape
    assert energy(model, queries, memory).shape == (3, 2)
    assert code_residual(model, queries, memory).shape == (3, 2)
    assert model(images).shape == images.shape
    if model.memory.stores:
        rows = model.memory.rows(memory)
        assert len(rows.shape) == 3 and rows.shape[0] == 3


def test_denoise_repeats_the_read(model, images):
    memory = memory_of(model, images)
    steps = model.denoise(images, memory, num_steps=3)
    current = images
    for n in range(3):
        current = (model.read(current, memory).numpy() >= 0.5) * 1.0
        np.testing.assert_array_equal(steps[:, n], current)


def test_threshold_of_what_is_fed_back(gpm, images):
    """Below every probability all pixels are 1, above every one none is."""
    memory = gpm.write(images)
    for threshold, pixel in ((0.0, 1.0), (1.1, 0.0)):
        options = {"num_steps": 2, "threshold": threshold}
        assert np.all(gpm.denoise(images, memory, **options) == pixel)
        assert np.all(gpm.generate(memory, 2, seed=1, **options) == pixel)


def test_a_call_writes_and_reads_back(gpm, images):
    expected = gpm.read(images, gpm.write(images))
    np.testing.assert_allclose(gpm(images), expected, atol=1e-5)


@pytest.mark.slow
def test_served_number_of_steps(gpm, images):
    """A tensor as good as an integer; of `generate` see below."""
    memory = gpm.write(images)
    steps = tf.function(lambda n: gpm.denoise(images, memory, num_steps=n))
    for n in (2, 3):
        np.testing.assert_array_equal(
            steps(tf.constant(n)), gpm.denoise(images, memory, num_steps=n)
        )


def test_sampled_read_is_the_bounds(model, images):
    memory = memory_of(model, images)
    first = model.read(images, memory, sample=True, seed=1).numpy()
    again = model.read(images, memory, sample=True, seed=1).numpy()
    other = model.read(images, memory, sample=True, seed=2).numpy()
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other) or not model.memory.draws
    latents = model.sample_latents(model.encode(images), memory, 1).latents
    expected = model.likelihood.mean(model.decode(latents))
    np.testing.assert_allclose(first, expected, atol=1e-5)


@models_that(lambda model: not model.memory.has_prior)
def test_what_has_no_prior_generates_nothing(model):
    with pytest.raises(UserError, match="a prior .* to generate from"):
        model.generate(None)


@models_that(lambda model: model.memory.has_prior)
def test_generate_begins_with_the_draw_and_then_reads(model, images):
    memory = memory_of(model, images)
    steps = model.generate(memory, num_samples=3, num_steps=3, seed=5)
    first = model.generate(memory, num_samples=3, num_steps=1, seed=5)
    np.testing.assert_array_equal(steps[:, :1], first)
    again = model.denoise(steps[:, 0], memory, num_steps=2)
    np.testing.assert_array_equal(steps[:, 1:], again)
    other = model.generate(memory, num_samples=3, num_steps=1, seed=6)
    assert np.any(other.numpy() != first.numpy())


@models_that(lambda model: model.memory.has_prior, quick=())
def test_the_number_of_steps_may_be_a_tensor(model, images):
    memory = memory_of(model, images)

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def generate(steps):
        return model.generate(memory, num_samples=2, num_steps=steps, seed=5)

    for steps in (1, 2, 3):
        expected = model.generate(memory, 2, num_steps=steps, seed=5)
        np.testing.assert_allclose(generate(steps), expected, atol=1e-5)


def test_episodes_do_not_mix(model, images):
    """Permuting the episodes permutes all that comes out."""
    order = [2, 0, 1]
    memory = memory_of(model, images)
    permuted = memory_of(model, images[order])
    if model.memory.stores:
        for name, value in memory.items():
            np.testing.assert_allclose(
                permuted[name], value.numpy()[order], rtol=1e-3, atol=1e-3
            )
    for function in (type(model).read, energy, code_residual):
        expected = function(model, images, memory).numpy()[order]
        np.testing.assert_allclose(
            function(model, images[order], permuted),
            expected,
            rtol=1e-3,
            atol=1e-3,
        )
    steps = model.denoise(images, memory, num_steps=2).numpy()[order]
    again = model.denoise(images[order], permuted, num_steps=2).numpy()
    assert np.mean(steps != again) < 1e-3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vae", "VAE, which treats each image"),
        ("memory_vae", "MemoryVAE, whose memory is a parameter"),
        ("variational_memory_vae", "whose memory is a parameter"),
        ("vq_vae", "VQVAE, whose codebook is a parameter"),
    ],
)
def test_a_model_without_memory_says_why(name, words, images):
    with pytest.raises(UserError, match=f"a memory to write to.* {words}"):
        untouched(name).write(images)


@models_that(lambda model: not model.memory.stores)
def test_plain_images_are_as_episodes_of_one(model, images):
    """In every method that takes images."""
    plain = images[:, 0]
    for function in (type(model).read, energy, type(model).reconstruct):
        expected = function(model, plain[:, None]).numpy()[:, 0]
        np.testing.assert_allclose(function(model, plain), expected, atol=1e-4)
    steps = model.denoise(plain, num_steps=2)
    expected = model.denoise(plain[:, None], num_steps=2)[:, :, 0]
    np.testing.assert_array_equal(steps, expected)
    terms = model.bound_terms(plain, seed=1)
    for name, value in model.bound_terms(plain[:, None], seed=1).items():
        assert terms[name].shape == (3, *value.shape[2:])
    weighted = importance_weighted_bounds(model, plain, None, 2)
    assert weighted["nelbo_iw"].shape == (3,)
