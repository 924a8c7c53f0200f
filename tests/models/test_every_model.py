"""What holds for every model of the table in conftest.py."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError

from .conftest import SHAPE
from .conftest import WITHOUT_NOISE
from .conftest import WITHOUT_PRIOR
from .conftest import make
from .conftest import memory_of
from .conftest import untouched


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


def test_same_seed_same_terms(name_of_model, model, images):
    first = model.bound_terms(images, seed=3)["nll"].numpy()
    again = model.bound_terms(images, seed=3)["nll"].numpy()
    other = model.bound_terms(images, seed=4)["nll"].numpy()
    np.testing.assert_array_equal(first, again)
    if name_of_model not in WITHOUT_NOISE:
        assert np.all(first != other)


def test_absent_images_change_nothing(memory_model, images):
    """An image of weight 0 is as good as not there."""
    weights = np.ones((3, 5), "float32")
    weights[:, 4] = 0.0
    padded = images.copy()
    padded[:, 4] = 1.0 - padded[:, 4]
    memory = memory_model.write(images, weights)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        memory,
        memory_model.write(padded, weights),
    )
    # A solver with few steps starts from another scale in the shorter write.
    np.testing.assert_allclose(
        memory_model.read(images, memory),
        memory_model.read(images, memory_model.write(images[:, :4])),
        atol=1e-2,
    )


def test_shapes_of_the_api(name_of_model, model, images):
    memory = memory_of(model, images)
    queries = images[:, :2]
    assert model.encode(images).shape == (3, 5, model.code_size)
    latents = model.latents_of(model.encode(images))
    # Of a nest, the latent comes first or is all there is.
    *_, latent = [latents] if tf.is_tensor(latents) else [latents["z"]]
    assert latent.shape == (3, 5, model.latent_size)
    assert model.decode(latents).shape == (3, 5, *SHAPE)
    assert model.read(queries, memory).shape == (3, 2, *SHAPE)
    steps = model.denoise(queries, memory, num_steps=3)
    assert steps.shape == (3, 3, 2, *SHAPE)
    assert set(np.unique(steps)) <= {0.0, 1.0}
    if name_of_model not in WITHOUT_PRIOR:
        new = model.generate(memory, num_samples=4, num_steps=2, seed=0)
        assert new.shape == (3 if model.has_memory else 1, 2, 4, *SHAPE)
        assert set(np.unique(new)) <= {0.0, 1.0}
    assert model.reconstruct(queries).shape == queries.shape
    assert model.energy(queries, memory).shape == (3, 2)
    assert model.code_residual(queries, memory).shape == (3, 2)
    assert model(images).shape == images.shape
    if model.has_memory:
        rows = model.memory_rows(memory)
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


def test_served_number_of_steps(gpm, images):
    """A tensor as good as an integer."""
    memory = gpm.write(images)
    steps = tf.function(lambda n: gpm.denoise(images, memory, num_steps=n))
    new = tf.function(lambda n: gpm.generate(memory, 2, num_steps=n, seed=1))
    for n in (2, 3):
        np.testing.assert_array_equal(
            steps(tf.constant(n)), gpm.denoise(images, memory, num_steps=n)
        )
        np.testing.assert_array_equal(
            new(tf.constant(n)), gpm.generate(memory, 2, num_steps=n, seed=1)
        )


def test_sampled_read_is_the_bounds(name_of_model, model, images):
    memory = memory_of(model, images)
    first = model.read(images, memory, sample=True, seed=1).numpy()
    again = model.read(images, memory, sample=True, seed=1).numpy()
    other = model.read(images, memory, sample=True, seed=2).numpy()
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other) or name_of_model in WITHOUT_NOISE
    latents = model.sample_latents(model.encode(images), memory, 1).latents
    expected = model.likelihood.mean(model.decode(latents))
    np.testing.assert_allclose(first, expected, atol=1e-5)


def test_generate_begins_with_the_draw_and_then_reads(
    name_of_model, model, images
):
    if name_of_model in WITHOUT_PRIOR:
        with pytest.raises(UserError, match="a prior .* to generate from"):
            model.generate(None)
        return
    memory = memory_of(model, images)
    steps = model.generate(memory, num_samples=3, num_steps=3, seed=5)
    first = model.generate(memory, num_samples=3, num_steps=1, seed=5)
    np.testing.assert_array_equal(steps[:, :1], first)
    again = model.denoise(steps[:, 0], memory, num_steps=2)
    np.testing.assert_array_equal(steps[:, 1:], again)
    other = model.generate(memory, num_samples=3, num_steps=1, seed=6)
    assert np.any(other.numpy() != first.numpy())


def test_the_number_of_steps_may_be_a_tensor(model, images):
    if not model.has_prior:
        pytest.skip("there is nothing to draw from")
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
    if model.has_memory:
        for name, value in memory.items():
            np.testing.assert_allclose(
                permuted[name], value.numpy()[order], rtol=1e-3, atol=1e-3
            )
    for method in (model.read, model.energy, model.code_residual):
        expected = method(images, memory).numpy()[order]
        np.testing.assert_allclose(
            method(images[order], permuted), expected, rtol=1e-3, atol=1e-3
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


def test_plain_images_are_as_episodes_of_one(model, images):
    """For models without a memory, in every method that takes images."""
    if model.has_memory:
        pytest.skip("it has a memory")
    plain = images[:, 0]
    for method in (model.read, model.energy, model.reconstruct):
        expected = method(plain[:, None]).numpy()[:, 0]
        np.testing.assert_allclose(method(plain), expected, atol=1e-4)
    steps = model.denoise(plain, num_steps=2)
    expected = model.denoise(plain[:, None], num_steps=2)[:, :, 0]
    np.testing.assert_array_equal(steps, expected)
    terms = model.bound_terms(plain, seed=1)
    for name, value in model.bound_terms(plain[:, None], seed=1).items():
        assert terms[name].shape == (3, *value.shape[2:])
    weighted = model.log_likelihood(plain, num_importance_samples=2)
    assert weighted.shape == (3,)
