"""The streaming write of slots, against sets of codes in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm.layers import SlotMemory

K, C = 6, 5


def make():
    layer = SlotMemory(K, C)
    layer.build()
    return layer


def codes_of(count, seed=0):
    return np.random.default_rng(seed).normal(size=(2, count, C))


def held(memory, episode):
    """The slots of an episode that hold something, in order."""
    count = np.asarray(memory["count"][episode], "float64")
    rows = np.column_stack([memory["mean"][episode], count])[count > 0.0]
    return rows[np.lexsort(rows.T)]


def each_once(codes):
    rows = np.column_stack([codes, np.ones(len(codes))])
    return rows[np.lexsort(rows.T)]


def test_parts_are_held_as_the_whole_while_there_are_slots():
    layer, codes = make(), codes_of(K)
    statistics = None
    for part in np.split(codes, [1, 3], axis=1):
        statistics = layer.accumulate(part, statistics)
        assert statistics.shape == (2, *layer.statistics_shape)
        assert statistics.dtype == tf.float64
    memory = layer.write_statistics(statistics)
    for episode in range(2):
        rows = each_once(codes[episode])
        np.testing.assert_allclose(held(memory, episode), rows, atol=1e-6)
        at_once = held(layer.write(codes), episode)
        np.testing.assert_allclose(at_once, rows, atol=1e-6)


def test_forgotten_codes_were_never_written():
    layer, codes = make(), codes_of(K)
    # As another batch of a float32 network would give them.
    again = codes[:, 1:4] * (1.0 + 1e-7 * codes_of(3, seed=2))
    statistics = layer.remove(again, layer.accumulate(codes))
    memory = layer.write_statistics(statistics)
    for episode in range(2):
        rows = each_once(codes[episode][[0, 4, 5]])
        np.testing.assert_allclose(held(memory, episode), rows, atol=1e-6)
    # What was freed can be written to.
    statistics = layer.accumulate(codes[:, 1:4], statistics)
    memory = layer.write_statistics(statistics)
    rows = each_once(codes[1])
    np.testing.assert_allclose(held(memory, 1), rows, atol=1e-6)


def test_forgetting_all_leaves_nothing_at_all():
    layer, codes = make(), codes_of(4)
    statistics = layer.remove(codes, layer.accumulate(codes))
    np.testing.assert_array_equal(statistics, np.zeros((2, K, C + 1)))


def test_weights_say_what_is_there():
    layer, codes = make(), codes_of(6)
    weights = np.array([[1, 0, 1, 0, 1, 1], [0, 1, 0, 0, 1, 1]], "float32")
    statistics = layer.accumulate(codes, weights=weights)
    memory = layer.write_statistics(statistics)
    for episode in range(2):
        rows = each_once(codes[episode][weights[episode] > 0])
        np.testing.assert_allclose(held(memory, episode), rows, atol=1e-6)
    first = np.zeros((2, 6), "float32")
    first[:, 4] = 1.0
    memory = layer.write_statistics(layer.remove(codes, statistics, first))
    rows = each_once(codes[0][[0, 2, 5]])
    np.testing.assert_allclose(held(memory, 0), rows, atol=1e-6)


@pytest.mark.parametrize("count", [9, 40])
def test_more_codes_than_slots_keep_their_number_and_sum(count):
    layer, codes = make(), codes_of(count)
    statistics = None
    for part in np.array_split(codes, 5, axis=1):
        statistics = layer.accumulate(part, statistics)
    total = np.sum(statistics, axis=1)
    np.testing.assert_allclose(total[:, 0], count)
    np.testing.assert_allclose(total[:, 1:], codes.sum(axis=1), atol=1e-9)
    # Those near each other share: nearer to their slot than to the middle.
    memory = layer.write_statistics(statistics)
    to_slots = np.square(
        codes[:, :, None] - np.asarray(memory["mean"])[:, None]
    ).sum(axis=-1)
    spread = np.square(codes - codes.mean(axis=1, keepdims=True)).sum(axis=-1)
    assert to_slots.min(axis=-1).mean() < 0.6 * spread.mean()
    left = layer.remove(codes[:, :1], statistics)
    np.testing.assert_allclose(np.sum(left, axis=1)[:, 0], count - 1)


def test_a_code_written_again_is_in_the_same_slot():
    layer, codes = make(), codes_of(4)
    again = codes[:, :1] * (1.0 + 1e-7 * codes_of(1, seed=2))
    statistics = layer.accumulate(again, layer.accumulate(codes))
    memory = layer.write_statistics(statistics)
    for episode in range(2):
        rows = each_once(codes[episode])
        rows[np.argmin(np.abs(rows[:, 0] - codes[episode, 0, 0])), -1] = 2.0
        rows = rows[np.lexsort(rows.T)]
        np.testing.assert_allclose(held(memory, episode), rows, atol=1e-5)
