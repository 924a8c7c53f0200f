"""Training, evaluation and saving of every model of the table."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from .conftest import MODELS
from .conftest import QUICKEST
from .conftest import batches
from .conftest import compiled
from .conftest import make
from .conftest import memory_of
from .conftest import models_that
from .conftest import rows

# Tracing the step of a model costs far more than running it: the tests below
# share one model of each kind, compiled as follows.
SEED = 5
WARMUP = 4


@pytest.fixture(autouse=True)
def seeds():
    """None: all noise here has a seed of its own.

    And with a global one TensorFlow forgets the graphs that it made ready.
    """


# The other read of slots trains as its relative: a layer differs, whose
# gradients and saving are cases of the tests of layers.
TRAINED = MODELS.keys() - {"slot_vae_softmax"}


@pytest.fixture(scope="module", params=rows(quick=QUICKEST, names=TRAINED))
def traced(request):
    """A compiled model, and the values of all that training changes."""
    model = make(request.param)
    # VIMCO's bound has no terms that could be warmed up.
    warmup = 0 if "nelbo_iw" in model.auxiliary_weights else WARMUP
    compiled(model, kl_warmup_steps=warmup, seed=SEED)
    model.optimizer.build(model.trainable_variables)
    variables = [*model.weights, *model.optimizer.variables]
    return model, [(variable, variable.numpy()) for variable in variables]


def start_again(traced):
    model, values = traced
    for variable, value in values:
        variable.assign(value)
    return model


@pytest.fixture
def untrained(traced):
    return start_again(traced)


def test_fit_lowers_the_bound_and_logs_every_term(untrained, images):
    history = untrained.fit(
        batches(images),
        validation_data=batches(images),
        epochs=15,
        verbose=0,
        shuffle=False,
    ).history
    assert history["val_nelbo"][-1] < history["val_nelbo"][0]
    names = {"loss", "nelbo", "gradient_norm", *untrained.term_names}
    assert names | set(untrained.auxiliary_weights) <= set(history)
    assert {f"val_{name}" for name in untrained.term_names} <= set(history)


def test_training_is_deterministic(traced, images):
    weights = []
    for _ in range(2):
        model = start_again(traced)
        start = model.get_weights()
        model.fit(batches(images), epochs=2, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
    still = [
        variable
        for variable, old in zip(model.weights, start, strict=True)
        if np.all(variable.numpy() == old)
    ]
    # Set once, by the first batch.
    assert {variable.name for variable in still} <= {"initialized"}


def test_loss_is_the_weighted_sum_of_the_terms(untrained, images):
    """Divergences at their weight, auxiliary terms, nothing else.

    Or, of VIMCO, the bound that it has instead.
    """
    # The first step of a warm-up over four: a quarter of each divergence.
    history = untrained.fit(
        batches(images).take(1), verbose=0, shuffle=False
    ).history
    logs = {name: value for name, (value,) in history.items()}
    expected = 0.0
    if untrained.kl_warmup_steps:
        expected = logs["nll"]
        for name in untrained.term_names[1:]:
            weight = untrained.kl_weights.get(name, 1.0)
            expected += weight / WARMUP * logs[name]
    for name, weight in untrained.auxiliary_weights.items():
        expected += weight * logs[name]
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


def test_evaluation_is_repeatable_and_masks(untrained, images):
    """The mean is over weighted images, whatever stands in the padding."""
    weights = np.ones((3, 5), "float32")
    weights[2, 3:] = 0.0
    other = images.copy()
    other[2, 3:] = 1.0
    first, again = (
        untrained.evaluate(batches(each, weights), verbose=0, return_dict=True)
        for each in (images, other)
    )
    assert first.keys() == again.keys()
    for name in first:
        np.testing.assert_allclose(first[name], again[name], rtol=2e-3)
    terms = set(untrained.term_names) - {"nll", "kl_memory"}
    np.testing.assert_allclose(
        first["nelbo"],
        first["nll"] + sum(first[name] for name in terms),
        rtol=1e-5,
    )


def test_save_and_load(untrained, images, tmp_path):
    untrained.fit(batches(images), epochs=1, verbose=0, shuffle=False)
    untrained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == untrained.get_config()
    assert loaded.kl_warmup_steps == untrained.kl_warmup_steps
    assert loaded.noise_seed == SEED
    assert int(loaded.optimizer.iterations) == 2
    terms = untrained.bound_terms(images, seed=1)
    for name, value in loaded.bound_terms(images, seed=1).items():
        np.testing.assert_array_equal(value, terms[name])
    # The optimizer's state too: both go on to the same weights. One step is
    # sooner taken than traced.
    for each in (untrained, loaded):
        each.train_step({"images": tf.constant(images)})
    for first, second in zip(
        untrained.get_weights(), loaded.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@models_that(quick=QUICKEST)
def test_everything_runs_in_mixed_bfloat16(name_of_model, images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make(name_of_model)
        # One step is sooner taken than traced.
        model.compile("sgd", run_eagerly=True)
        # Within the scope in which Keras casts a layer's weights.
        assert np.all(np.isfinite(model(images)))
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


@models_that(quick=())
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
