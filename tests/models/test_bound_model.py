"""The one training step, against a step written out by hand."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm.data import ImageSet
from kgpm.data import episodes
from kgpm.models import GPM
from kgpm.models import BoundModel
from kgpm.ops import fold_in


class Quadratic(BoundModel):
    """Terms that can be differentiated on paper.

    nll = sum_x (a - x)^2, kl_a = a^2, auxiliary = 3 a, for a scalar a.
    """

    auxiliary_weights = {"extra": 0.5}

    def __init__(self):
        super().__init__()
        self.a = self.add_weight(shape=(), initializer="ones", name="kernel")
        self.built = True

    @property
    def term_names(self):
        return ("nll", "kl_a", "kl_memory")

    def bound_terms(self, images, weights=None, seed=None, training=False):
        error = tf.reduce_sum(tf.square(self.a - images), (2, 3, 4))
        square = tf.fill(tf.shape(error), tf.square(self.a.value))
        return {"nll": error, "kl_a": square, "kl_memory": 2.0 * square}

    def training_terms(self, images, weights, seed):
        terms = self.bound_terms(images)
        return {**terms, "extra": tf.zeros_like(terms["nll"]) + 3.0 * self.a}


IMAGES = np.random.default_rng(0).random((2, 3, 2, 2, 1)).astype("float32")
WEIGHTS = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], "float32")


def step(limit=None, warmup=0, first=0, terms=None):
    model = Quadratic()
    optimizer = keras.optimizers.SGD(0.01, global_clipnorm=limit)
    model.compile(
        optimizer,
        kl_warmup_steps=warmup,
        kl_warmup_terms=terms,
        run_eagerly=True,
    )
    optimizer.iterations.assign(first)
    logs = model.train_step({"images": IMAGES, "weights": WEIGHTS})
    return {k: float(v) for k, v in logs.items()}, float(model.a)


def expected_gradient(kl_weight=1.0, memory_weight=None):
    if memory_weight is None:
        memory_weight = kl_weight
    error = (2.0 * (1.0 - IMAGES)).sum((2, 3, 4))
    per_image = error + kl_weight * 2.0 + memory_weight * 4.0 + 0.5 * 3.0
    return (WEIGHTS * per_image).sum() / WEIGHTS.sum()


def test_step_is_the_weighted_mean_gradient():
    logs, a = step()
    np.testing.assert_allclose(a, 1.0 - 0.01 * expected_gradient(), rtol=1e-6)
    np.testing.assert_allclose(
        logs["gradient_norm"], expected_gradient(), rtol=1e-6
    )


def test_logs_are_weighted_means_and_bounds_leave_auxiliaries_out():
    logs, _ = step(warmup=4)
    nll = (WEIGHTS * ((1.0 - IMAGES) ** 2).sum((2, 3, 4))).sum() / 4.0
    np.testing.assert_allclose(logs["nll"], nll, rtol=1e-6)
    np.testing.assert_allclose(logs["nelbo"], nll + 1.0, rtol=1e-6)
    np.testing.assert_allclose(logs["nelbo_full"], nll + 3.0, rtol=1e-6)
    # One of four warm-up steps: divergences count a quarter in the loss.
    np.testing.assert_allclose(
        logs["loss"], nll + 0.25 * 3.0 + 0.5 * 3.0, rtol=1e-6
    )


def test_logs_are_means_over_images_and_not_over_batches():
    model = Quadratic()
    model.compile("sgd")
    batch = {"images": IMAGES, "weights": WEIGHTS}
    # One batch of three images, then one of a single image.
    data = tf.data.Dataset.from_tensor_slices(batch).batch(1)
    logs = model.evaluate(data, verbose=0, return_dict=True)
    error = ((1.0 - IMAGES) ** 2).sum((2, 3, 4))
    nll = (WEIGHTS * error).sum() / 4.0
    of_means = 0.5 * (error[0].mean() + error[1, 0])
    assert abs(nll - of_means) > 1e-2
    np.testing.assert_allclose(logs["nll"], nll, rtol=1e-6)
    np.testing.assert_allclose(logs["nelbo"], nll + 1.0, rtol=1e-6)


def test_warmup_scales_the_divergences_gradient():
    _, a = step(warmup=4)
    gradient = expected_gradient(kl_weight=0.25)
    np.testing.assert_allclose(a, 1.0 - 0.01 * gradient, rtol=1e-6)
    _, a = step(warmup=4, terms=["kl_a"])
    gradient = expected_gradient(kl_weight=0.25, memory_weight=1.0)
    np.testing.assert_allclose(a, 1.0 - 0.01 * gradient, rtol=1e-6)
    # And never more than their own weight, once it is over.
    _, a = step(warmup=4, first=9)
    np.testing.assert_allclose(a, 1.0 - 0.01 * expected_gradient(), rtol=1e-6)


def test_clipping_limits_the_step_but_not_the_logged_norm():
    logs, a = step(limit=0.5)
    np.testing.assert_allclose(a, 1.0 - 0.01 * 0.5, rtol=1e-6)
    assert logs["gradient_norm"] > 0.5


def test_noise_differs_between_steps_and_seeds():
    images = (IMAGES > 0.5).astype("float32")
    images = np.tile(images, (1, 1, 4, 4, 1))
    weights = []
    for seed in (0, 0, 1):
        random.seed(0)
        model = GPM((8, 8, 1), memory_size=2, code_size=6, width=8)
        # One step is sooner taken than traced.
        sgd = keras.optimizers.SGD(1e-3)
        model.compile(sgd, seed=seed, run_eagerly=True)
        model.train_on_batch({"images": images})
        weights.append(model.get_weights())
    same = [np.array_equal(a, b) for a, b in zip(*weights[:2], strict=True)]
    other = [np.array_equal(a, b) for a, b in zip(*weights[1:], strict=True)]
    assert all(same)
    assert not all(other)
    assert np.any(fold_in(0, 1).numpy() != fold_in(0, 2).numpy())


def test_training_gets_the_weights_and_other_noise_each_step(monkeypatch):
    model = Quadratic()
    model.compile("sgd", run_eagerly=True, seed=3)
    seeds = []
    original = model.training_terms

    def record(images, weights, seed):
        np.testing.assert_array_equal(weights, WEIGHTS)
        seeds.append(tuple(seed.numpy()))
        return original(images, weights, seed)

    monkeypatch.setattr(model, "training_terms", record)
    for first in (0, 0, 1):
        model.optimizer.iterations.assign(first)
        model.train_step({"images": IMAGES, "weights": WEIGHTS})
    assert seeds[0] == seeds[1]
    assert seeds[1] != seeds[2]


def test_validation_noise_differs_between_batches(monkeypatch):
    model = GPM((8, 8, 1), memory_size=2, code_size=6, width=8)
    model.compile("sgd", run_eagerly=True)
    seeds = []
    original = model.bound_terms

    def record(images, weights=None, seed=None, training=False):
        seeds.append(tuple(seed.numpy()))
        assert not training
        return original(images, weights, seed, training)

    monkeypatch.setattr(model, "bound_terms", record)
    data = tf.data.Dataset.from_tensor_slices(
        np.zeros((3, 4, 8, 8, 1), "float32")
    ).batch(1)
    for _ in range(2):
        model.evaluate(data, verbose=0)
    assert len(set(seeds[:3])) == 3
    assert seeds[:3] == seeds[3:]


def test_compile_config_has_every_argument():
    model, copy = Quadratic(), Quadratic()
    arguments = {
        "kl_warmup_steps": 2,
        "kl_warmup_terms": ["kl_a"],
        "seed": 7,
        "jit_compile": True,
    }
    model.compile("sgd", **arguments)
    copy.compile_from_config(model.get_compile_config())
    config = copy.get_compile_config()
    assert config.pop("optimizer")["class_name"] == "SGD"
    assert config == arguments


def test_warmup_of_a_term_that_is_not_there():
    with pytest.raises(UserError, match="among kl_a, kl_memory, received kl_z"):
        Quadratic().compile("sgd", kl_warmup_terms=["kl_z"])


@pytest.mark.parametrize("kwargs", [{"clipnorm": 1.0}, {"clipvalue": 1.0}])
def test_other_clipping_is_refused(kwargs):
    with pytest.raises(UserError, match="global_clipnorm"):
        Quadratic().compile(keras.optimizers.SGD(0.1, **kwargs))


def test_float16_is_refused():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(UserError, match="mixed_bfloat16"):
            Quadratic().compile("sgd")
    finally:
        keras.config.set_dtype_policy(before)


def test_negative_warmup_is_refused():
    with pytest.raises(UserError, match="kl_warmup_steps"):
        Quadratic().compile("sgd", kl_warmup_steps=-1)


def numbers(count, split):
    """Binary images of one kind of split, 4 in an episode, 2 a batch."""
    images = np.random.default_rng(1).integers(0, 2, (count, 2, 2, 1))
    return episodes(
        ImageSet((255 * images).astype(np.uint8), None, "numbers", split, ""),
        episode_length=4,
        batch_size=2,
        repeat=split == "train",
    )


@pytest.mark.parametrize(
    "count",
    [17, *(pytest.param(c, marks=pytest.mark.slow) for c in (16, 20, 5))],
)
def test_a_smaller_last_batch_costs_no_other_trace(count):
    """Of training and of validation, in the batches that the package makes."""

    class Counting(Quadratic):
        num_training = num_validation = 0

        def training_terms(self, images, weights, seed):
            self.num_training += 1
            return super().training_terms(images, weights, seed)

        def validation_terms(self, images, weights, seed):
            self.num_validation += 1
            return super().validation_terms(images, weights, seed)

    model = Counting()
    model.compile("sgd")
    history = model.fit(
        numbers(count, "train"),
        validation_data=numbers(count, "validation"),
        steps_per_epoch=3,
        epochs=2,
        verbose=0,
    )
    assert len(history.history["val_nelbo"]) == 2
    assert (model.num_training, model.num_validation) == (1, 1)
