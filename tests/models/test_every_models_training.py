"""Training, evaluation and saving of every model of the table."""

import keras
import numpy as np
import pytest

from .conftest import batches
from .conftest import compiled
from .conftest import make


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


@pytest.mark.parametrize("name", ["gpm", "dkm", "km", "vae"])
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
