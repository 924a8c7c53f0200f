"""Training, evaluation and saving of every model of the table."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import models

from .conftest import batches
from .conftest import compiled
from .conftest import make
from .conftest import memory_of


def test_fit_lowers_the_bound_and_logs_every_term(model, images):
    compiled(model)
    history = model.fit(
        batches(images),
        validation_data=batches(images),
        epochs=15,
        verbose=0,
        shuffle=False,
    ).history
    assert history["val_nelbo"][-1] < history["val_nelbo"][0]
    names = {"loss", "nelbo", "gradient_norm", *model.term_names}
    assert names | set(model.auxiliary_weights) <= set(history)
    assert {f"val_{name}" for name in model.term_names} <= set(history)


@pytest.mark.parametrize("name", ["gpm", "dkm", "km", "kpp", "vae"])
def test_training_is_deterministic(name, images):
    weights = []
    for _ in range(2):
        model = compiled(make(name))
        model.fit(batches(images), epochs=2, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_loss_is_the_weighted_sum_of_the_terms(model, images):
    """Divergences at their weight, auxiliary terms, nothing else."""
    compiled(model, kl_warmup_steps=4)
    # The first step of a warm-up over four: a quarter of each divergence.
    logs = model.train_on_batch({"images": images}, return_dict=True)
    expected = logs["nll"]
    for name in model.term_names[1:]:
        expected += 0.25 * model.kl_weights.get(name, 1.0) * logs[name]
    for name, weight in model.auxiliary_weights.items():
        expected += weight * logs[name]
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


def test_evaluation_is_repeatable_and_masks(model, images):
    """The mean is over weighted images, whatever stands in the padding."""
    compiled(model)
    weights = np.ones((3, 5), "float32")
    weights[2, 3:] = 0.0
    other = images.copy()
    other[2, 3:] = 1.0
    first = model.evaluate(batches(images, weights), verbose=0, return_dict=1)
    again = model.evaluate(batches(other, weights), verbose=0, return_dict=1)
    assert first.keys() == again.keys()
    for name in first:
        np.testing.assert_allclose(first[name], again[name], rtol=2e-3)
    np.testing.assert_allclose(
        first["nelbo"],
        first["nll"]
        + sum(
            first[n] for n in model.term_names if n not in ("nll", "kl_memory")
        ),
        rtol=1e-5,
    )


def test_save_and_load(model, images, tmp_path):
    compiled(model, kl_warmup_steps=7, seed=5)
    model.fit(batches(images), epochs=1, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert loaded.kl_warmup_steps == 7
    assert loaded.noise_seed == 5
    assert int(loaded.optimizer.iterations) == 2
    terms = model.bound_terms(images, seed=1)
    for name, value in loaded.bound_terms(images, seed=1).items():
        np.testing.assert_array_equal(value, terms[name])
    # The optimizer's state too: both go on to the same weights.
    for each in (model, loaded):
        each.fit(batches(images), epochs=1, verbose=0, shuffle=False)
    for first, second in zip(
        model.get_weights(), loaded.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(first, second)


# A value other than its default for every argument of every constructor.
OTHER = {
    "image_shape": (8, 12, 2),
    "memory_size": 12,
    "code_size": 20,
    "latent_size": 5,
    "num_reads": 3,
    "memory_channels": 2,
    "window_size": 9,
    "projection_size": 11,
    "key_transform": "bounded",
    "activation": "linear",
    "encoder": "tsm_resnet_small",
    "likelihood": "gaussian",
    "width": 8,
    "num_blocks": 3,
    "normalization": "none",
    "observation_noise": 0.3,
    "writer": "sequential",
    "write_noise": 0.1,
    "write_refine_steps": 2,
    "solver": "newton",
    "solver_iterations": 9,
    "read_ridge": "tiny",
    "posterior": "per_slot",
    "ordering": "lstm",
    "autoencoder_weight": 0.7,
    "memory_kl_weight": 0.4,
    "shared_noise": True,
    "address_noise": 1.3,
    "num_opt_iters": 2,
    "learn_prior": False,
    "key_size": 7,
    "hidden_size": 9,
}


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_config_has_every_argument(name):
    constructor = models.get(name)
    parameters = dict(inspect.signature(constructor).parameters)
    del parameters["kwargs"]
    other = dict(OTHER)
    if "learn_observation_noise" in parameters:
        learned = parameters["learn_observation_noise"].default
        other["learn_observation_noise"] = not learned
    default = parameters["decoder"].default
    other["decoder"] = "transposed" if default == "residual" else "residual"
    # Two options of GPM exclude each other.
    for left_out in ("ordering", "writer"):
        arguments = {
            argument: other[argument]
            for argument in parameters
            if argument != left_out
        }
        config = constructor(**arguments).get_config()
        assert set(parameters) <= set(config)
        copy = constructor.from_config(config)
        assert copy.get_config() == config
        assert copy.likelihood.name == arguments.pop("likelihood")
        for argument, value in arguments.items():
            assert value != parameters[argument].default
            assert config[argument] == value


def test_everything_runs_in_mixed_bfloat16(name_of_model, images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make(name_of_model)
        model.compile("adam")
        logs = model.train_on_batch({"images": images}, return_dict=True)
        assert np.isfinite(logs["loss"])
        memory = memory_of(model, images, seed=1)
        for value in tf.nest.flatten(memory):
            assert value is None or value.dtype == tf.float32
        for value in model.bound_terms(images, seed=0).values():
            assert value.dtype == tf.float32
            assert np.all(np.isfinite(value))
    finally:
        keras.config.set_dtype_policy(before)


def test_unknown_batch_and_length(model, images):
    spec = tf.TensorSpec([None, None, 8, 8, 1])
    score = tf.function(
        lambda images: model.bound_terms(images, seed=1),
        input_signature=[spec],
    )
    for episodes in (images, images[:1, :1], images[:2, :4]):
        for name, value in model.bound_terms(episodes, seed=1).items():
            np.testing.assert_allclose(
                score(episodes)[name], value, rtol=2e-3, atol=2e-3
            )
