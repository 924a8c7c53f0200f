"""What GPM does with each of its reads."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm import ops
from kgpm.models import GPM

from .conftest import SMALL
from .conftest import make
from .conftest import untouched

SLOTS = {**SMALL, "memory_size": 8, "hidden_size": 16}


def test_an_attractor_reads_again_inside_the_likelihood(images):
    """Decode, encode, project: by the model's own parts, one by one."""
    model = GPM(memory_size=4, read="attractor", num_inner_reads=2, **SMALL)
    linear = GPM(memory_size=4, **SMALL)
    linear.set_weights(model.get_weights())
    memory = linear.write(images)
    codes = linear.encode(images)

    def passed(latents):
        for _ in range(2):
            image = linear.likelihood.mean(linear.decode(latents))
            again = linear.encode(image).numpy().astype("float64")
            rows = memory["mean"].numpy().astype("float64")
            latents = again @ np.linalg.pinv(rows) @ rows
            latents = tf.constant(latents, "float32")
        return latents

    np.testing.assert_allclose(
        model.mean_latents(codes, memory),
        passed(linear.mean_latents(codes, memory)),
        atol=2e-3,
    )
    _, seed = ops.split_seed(ops.make_seed(5), 2)
    draw = model.sample_latents(codes, memory, 5)
    expected = linear.sample_latents(codes, memory, seed)
    np.testing.assert_allclose(
        draw.latents, passed(expected.latents), atol=2e-3
    )
    # The address is the same, and so is what it costs.
    np.testing.assert_allclose(draw.kl["kl_w"], expected.kl["kl_w"], rtol=1e-5)
    np.testing.assert_allclose(
        model.sample_prior_latents(memory, 3, seed=1),
        passed(linear.sample_prior_latents(memory, 3, seed=1)),
        atol=2e-3,
    )


def test_inner_reads_see_the_memory_that_was_drawn(images):
    """All that is decoded lies in its rows."""
    model = GPM(memory_size=4, read="attractor", writer="sequential", **SMALL)
    memory = model.write(images)
    latents = model.sample_latents(model.encode(images), memory, 3).latents
    memory_seed, _ = ops.split_seed(ops.make_seed(3), 2)
    rows = model.memory.draw(memory, memory_seed)["mean"].numpy()
    projector = np.linalg.pinv(rows.astype("float64")) @ rows
    np.testing.assert_allclose(latents @ projector, latents, atol=1e-3)
    outside = latents @ np.linalg.pinv(memory["mean"]) @ memory["mean"]
    assert np.abs(outside - latents).max() > 1e-2


@pytest.mark.parametrize("read", ["attractor", "softmax", "categorical"])
def test_reads_stream(images, read):
    model = untouched(f"gpm_{read}")
    assert model.streams
    statistics = model.update(images[:, 2:], model.update(images[:, :2]))
    np.testing.assert_allclose(
        model.read(images, model.write_statistics(statistics)),
        model.read(images, model.write(images)),
        atol=2e-3,
    )


def test_slots_are_the_codes_of_the_images(images):
    model = GPM(read="categorical", **SLOTS)
    memory = model.write(images)
    codes = model.encode(images)
    np.testing.assert_array_equal(memory["mean"][:, :5], codes)
    np.testing.assert_array_equal(memory["count"].numpy().sum(1), 5.0)


@pytest.mark.parametrize("read", ["softmax", "categorical"])
def test_more_images_than_slots_share_them(read, images):
    """In whatever order they come; and every method goes on working."""
    model = GPM(read=read, **{**SLOTS, "memory_size": 3})
    memory = model.write(images)
    assert memory["mean"].shape == (3, 3, 10)
    np.testing.assert_array_equal(memory["count"].numpy().sum(1), 5.0)
    shuffled = model.write(images[:, [3, 1, 4, 0, 2]])
    np.testing.assert_allclose(
        model.read(images, shuffled), model.read(images, memory), atol=1e-4
    )
    assert not model.depends_on_order
    terms = model.held_out_terms(images, seed=1)
    assert all(np.all(np.isfinite(value)) for value in terms.values())


@pytest.mark.parametrize("read", ["softmax", "categorical"])
def test_the_held_out_part_of_the_loss_is_figure_b(read, images):
    """Its divergences exactly, its pixels over 40 draws."""
    model = GPM(read=read, held_out_weight=0.7, write_noise=0.0, **SLOTS)
    weights = np.ones((3, 5), "float32")
    trained = tf.function(model.training_terms)
    figure = tf.function(model.held_out_terms)
    a, b = [], []
    for seed in range(40):
        seed = tf.constant([seed, 0])
        a.append(trained(images, weights, seed)["held_out"])
        b.append(ops.nelbo(figure(images, weights, seed)))
    a, b = np.array(a), np.array(b)
    error = np.sqrt((a.var(0) + b.var(0)) / 40) + 1e-3
    assert np.all(np.abs(a.mean(0) - b.mean(0)) < 5.0 * error)
    assert model.auxiliary_weights["held_out"] == 0.7


def test_the_loss_has_no_part_in_the_bound(images):
    """As for the autoencoder's term: the same weights, the same nelbo."""
    values = []
    for weight in (0.0, 2.0):
        model = GPM(read="categorical", held_out_weight=weight, **SLOTS)
        model.set_weights(make("gpm_categorical").get_weights())
        values.append(ops.nelbo(model.bound_terms(images, seed=1)))
    np.testing.assert_array_equal(*values)


def test_a_slot_read_keeps_its_arguments():
    arguments = {
        "read": "softmax",
        "beta": 2.5,
        "hidden_size": 9,
        "num_inner_reads": 3,
        "held_out_weight": 0.3,
        "write_noise": 0.1,
    }
    model = GPM(**{**SLOTS, **arguments})
    config = model.get_config()
    assert set(GPM.constructor_arguments()) <= set(config)
    assert {name: config[name] for name in arguments} == arguments
    assert GPM.from_config(config).get_config() == config


@pytest.mark.parametrize("read", ["softmax", "categorical"])
@pytest.mark.parametrize(
    "option",
    [
        {"writer": "sequential"},
        {"ordering": "lstm"},
        {"solver": "newton"},
        {"solver_iterations": 3},
        {"write_refine_steps": 1},
        {"read_ridge": "tiny"},
        {"posterior": "per_slot"},
        {"shared_noise": True},
    ],
)
def test_a_read_that_its_write_cannot_serve(read, option):
    name, value = next(iter(option.items()))
    message = (
        f"Expected {name}=.* with read='{read}'.* received {name}={value!r}"
    )
    with pytest.raises(UserError, match=message):
        GPM(read=read, **SLOTS, **option)


def test_other_mistakes(images):
    for read in ("linear", "attractor"):
        with pytest.raises(UserError, match="held_out_weight=0"):
            GPM(memory_size=4, read=read, held_out_weight=1.0, **SMALL)
        with pytest.raises(UserError, match="memory_size < code_size"):
            GPM(memory_size=10, read=read, **SMALL)
    with pytest.raises(UserError, match="sees each image on its own"):
        GPM(
            memory_size=4, read="attractor", encoder="tsm_resnet_small", **SMALL
        )
