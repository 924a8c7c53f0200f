"""Seeds and draws: the same seed always gives the same noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops

DRAWS = {"normal": ops.normal, "uniform": ops.uniform}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_same_seed_same_draw(draw):
    first = draw((3, 4), 7)
    assert first.dtype == tf.float32
    np.testing.assert_array_equal(first, draw((3, 4), 7))
    np.testing.assert_array_equal(first, draw((3, 4), [7, 0]))
    np.testing.assert_array_equal(first, draw((3, 4), tf.constant([7, 0])))
    assert not np.any(first == draw((3, 4), 8))
    assert not np.any(first == draw((3, 4), [7, 1]))
    assert draw((2,), 7, "float64").dtype == tf.float64


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draw_in_a_function_is_the_eager_one(draw):
    compiled = tf.function(
        lambda seed, count: draw((count, 2), seed),
        input_signature=[
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((), tf.int32),
        ],
    )
    np.testing.assert_array_equal(
        compiled(tf.constant([3, 4]), 5), draw((5, 2), [3, 4])
    )


def test_moments():
    count = 100_000
    values = ops.normal((count,), 1, "float64").numpy()
    assert abs(values.mean()) < 4 / np.sqrt(count)
    assert abs(values.var() - 1.0) < 4 * np.sqrt(2 / count)
    values = ops.uniform((count,), 1, "float64").numpy()
    assert values.min() >= 0.0 and values.max() < 1.0
    assert abs(values.mean() - 0.5) < 4 * np.sqrt(1 / 12 / count)
    assert abs(values.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / count)


def test_make_seed():
    seed = ops.make_seed(5)
    assert seed.dtype == tf.int32
    np.testing.assert_array_equal(seed, [5, 0])
    np.testing.assert_array_equal(ops.make_seed([5, 6]), [5, 6])
    np.testing.assert_array_equal(ops.make_seed(np.int64(5)), [5, 0])
    np.testing.assert_array_equal(ops.make_seed(tf.constant(5)), [5, 0])
    np.testing.assert_array_equal(ops.make_seed(seed), seed)


def test_no_seed_is_fresh_and_reproducible():
    keras.utils.set_random_seed(1)
    first, second = ops.make_seed(), ops.make_seed()
    assert first.shape == (2,) and first.dtype == tf.int32
    assert not np.array_equal(first, second)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(ops.make_seed(), first)
    keras.utils.set_random_seed(2)
    assert not np.array_equal(ops.make_seed(), first)


def test_no_seed_is_fresh_at_each_call_of_a_function():
    draw = tf.function(lambda: ops.normal((4,), None))
    assert not np.any(draw() == draw())


def test_split_seed():
    seeds = ops.split_seed(3, 4)
    assert len(seeds) == 4
    assert all(s.shape == (2,) and s.dtype == tf.int32 for s in seeds)
    rows = {tuple(s.numpy()) for s in (*seeds, ops.make_seed(3))}
    assert len(rows) == 5
    np.testing.assert_array_equal(seeds, ops.split_seed(3, 4))
    draws = np.stack([ops.normal((5000,), s) for s in seeds])
    correlation = np.corrcoef(draws) - np.eye(4)
    assert np.max(np.abs(correlation)) < 4.5 / np.sqrt(5000)


def test_fold_in():
    seeds = [ops.fold_in(3, step) for step in range(4)]
    assert seeds[0].dtype == tf.int32
    rows = {tuple(s.numpy()) for s in (*seeds, ops.make_seed(3))}
    assert len(rows) == 5
    np.testing.assert_array_equal(seeds[1], ops.fold_in([3, 0], 1))
    np.testing.assert_array_equal(
        seeds[2], ops.fold_in(3, tf.constant(2, tf.int64))
    )
    assert not np.array_equal(ops.fold_in(4, 1), seeds[1])
    compiled = tf.function(ops.fold_in)
    np.testing.assert_array_equal(compiled(3, tf.constant(3)), seeds[3])


def test_categorical_draws_have_their_probabilities():
    logits = np.log([[0.5, 0.2, 0.3, 1e-9], [0.01, 0.01, 0.9, 0.08]])
    logits[0, 3] = -1e9
    count = 40_000
    draws = ops.categorical(tf.constant(logits, tf.float32), count, 3).numpy()
    assert draws.shape == (2, count) and draws.dtype == np.int32
    for row, own in zip(draws, logits, strict=True):
        expected = np.exp(own)
        share = np.bincount(row, minlength=4) / count
        error = np.sqrt(expected * (1.0 - expected) / count)
        assert np.all(np.abs(share - expected) <= 4.5 * error)


def test_a_categorical_draw_is_of_its_row_alone():
    """Whatever the number of other rows and of threads that share the work."""
    logits = np.random.default_rng(0).normal(size=(4096, 20)).astype("float32")
    all_rows = ops.categorical(logits, 1, [1, 2]).numpy()
    for rows in (1, 100, 3000):
        some = ops.categorical(logits[:rows], 1, [1, 2])
        np.testing.assert_array_equal(some, all_rows[:rows])
    draw = tf.function(
        lambda values, seed: ops.categorical(values, 1, seed),
        input_signature=[
            tf.TensorSpec((None, 20)),
            tf.TensorSpec((2,), tf.int32),
        ],
    )
    np.testing.assert_array_equal(draw(logits, [1, 2]), all_rows)


def test_the_last_possible_category_ends_the_draws(monkeypatch):
    """The sum of many rounded probabilities is not 1."""
    last = np.nextafter(1.0, 0.0)
    monkeypatch.setattr(
        "kgpm.ops.random.uniform", lambda shape, *_: tf.fill(shape, last)
    )
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(200, 3001)).astype("float32")
    logits[:, -1] = -1e9
    draws = ops.categorical(tf.constant(logits), 1, 5)
    np.testing.assert_array_equal(draws, np.full((200, 1), 2999))
