"""Vectors in slots, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.ops import parts
from kgpm.ops import slots

RNG = np.random.default_rng(4)


def test_square_distances_of_near_vectors_far_from_the_origin():
    """In float32 their squares would differ by rounding alone."""
    vectors = (100.0 + 0.01 * RNG.normal(size=(2, 3, 20))).astype("float32")
    others = (100.0 + 0.01 * RNG.normal(size=(2, 4, 20))).astype("float32")
    difference = vectors[:, :, None].astype("float64") - others[:, None]
    np.testing.assert_allclose(
        ops.square_distances(tf.constant(vectors), tf.constant(others)),
        np.square(difference).sum(-1),
        rtol=1e-4,
    )


def test_slot_log_shares():
    count = tf.constant([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    shares = np.exp(ops.slot_log_shares(count))
    np.testing.assert_allclose(shares, [[0.75, 0, 0.25], [0, 0, 0]], rtol=1e-6)


def test_slot_exponents_are_log_densities():
    """Up to the constant of a normal density; each query may have counts."""
    from scipy import stats

    vectors, mean = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 5, 3))
    count = np.array(RNG.integers(1, 5, size=(2, 4, 5)), "float64")
    result = ops.slot_exponents(
        tf.constant(vectors), tf.constant(mean), tf.constant(count), 0.7
    )
    for b in range(2):
        for q in range(4):
            for k in range(5):
                density = stats.multivariate_normal(
                    mean[b, k], 0.49 * np.eye(3)
                )
                expected = np.log(count[b, q, k] / count[b, q].sum())
                expected += density.logpdf(vectors[b, q])
                expected += 1.5 * np.log(2 * np.pi * 0.49)
                assert result[b, q, k].numpy() == pytest.approx(expected)
    shared = ops.slot_exponents(
        tf.constant(vectors), tf.constant(mean), tf.constant(count[:, 0]), 0.7
    )
    np.testing.assert_allclose(shared[:, 0], result[:, 0], rtol=1e-10)


def fill(vectors, weights=None, num_slots=4, num_steps=3):
    if weights is None:
        weights = np.ones(vectors.shape[:2], "float32")
    mean, count = ops.fill_slots(
        tf.constant(vectors), tf.constant(weights), num_slots, num_steps
    )
    return mean.numpy(), count.numpy()


def sorted_rows(mean):
    return np.stack([rows[np.lexsort(rows.T)] for rows in mean])


@pytest.mark.parametrize("length", [1, 3, 4])
def test_each_has_a_slot_while_there_are_enough(length):
    vectors = RNG.normal(size=(2, length, 5)).astype("float32")
    mean, count = fill(vectors)
    np.testing.assert_array_equal(mean[:, :length], vectors)
    np.testing.assert_array_equal(mean[:, length:], 0.0)
    np.testing.assert_array_equal(
        count, [[1.0] * length + [0.0] * (4 - length)] * 2
    )


def test_absent_vectors_are_not_written():
    vectors = RNG.normal(size=(2, 9, 5)).astype("float32")
    weights = np.ones((2, 9), "float32")
    weights[:, 3:6] = 0.0
    vectors[:, 3:6] = 100.0
    for length in (4, 9):
        mean, count = fill(vectors[:, :length], weights[:, :length])
        np.testing.assert_allclose(
            count.sum(1), weights[:, :length].sum(1), rtol=1e-6
        )
        assert np.abs(mean).max() < 10.0
    # Six that are there, and two of them alike: each of four is its own.
    weights[:, 5:] = 0.0
    vectors[:, 1] = vectors[:, 0]
    mean, count = fill(vectors, weights)
    distinct = np.stack([vectors[:, 0], vectors[:, 2]], axis=1)
    filled = np.stack([m[c > 0] for m, c in zip(mean, count, strict=True)])
    np.testing.assert_allclose(
        sorted_rows(filled), sorted_rows(distinct), rtol=1e-6
    )
    assert sorted(count[0]) == [0.0, 0.0, 1.0, 2.0]


def test_clusters_far_apart_share_slots():
    centres = 10.0 * np.eye(4, 6)
    members = np.repeat(centres, [1, 2, 3, 4], axis=0)
    members = members + 0.1 * RNG.normal(size=members.shape)
    members = members[None, RNG.permutation(10)].astype("float32")
    mean, count = fill(members)
    assert sorted(count[0]) == [1.0, 2.0, 3.0, 4.0]
    for row, number in zip(mean[0], count[0], strict=True):
        nearest = np.linalg.norm(centres - row, axis=1).argmin()
        assert number == nearest + 1
        of_it = np.linalg.norm(members[0] - centres[nearest], axis=1) < 2.0
        np.testing.assert_allclose(row, members[0][of_it].mean(0), rtol=1e-4)


def test_the_order_of_the_vectors_does_not_matter():
    vectors = RNG.normal(size=(3, 15, 5)).astype("float32")
    order = RNG.permutation(15)
    mean, count = fill(vectors)
    shuffled, counts = fill(vectors[:, order])
    np.testing.assert_allclose(shuffled, mean, atol=1e-5)
    np.testing.assert_array_equal(counts, count)


def test_lloyd_steps_lower_the_distance_to_the_slots():
    vectors = RNG.normal(size=(1, 60, 5)).astype("float32")

    def distance(num_steps):
        mean, _ = fill(vectors, num_steps=num_steps)
        squares = np.square(vectors[:, :, None] - mean[:, None]).sum(-1)
        return squares.min(-1).mean()

    assert distance(4) < distance(1) < distance(0)


@pytest.mark.slow
def test_a_length_that_is_not_known():
    write = tf.function(
        lambda vectors, weights: ops.fill_slots(vectors, weights, 4, 2),
        input_signature=[
            tf.TensorSpec([None, None, 5]),
            tf.TensorSpec([None, None]),
        ],
    )
    for length in (2, 4, 7):
        vectors = RNG.normal(size=(3, length, 5)).astype("float32")
        weights = np.ones((3, length), "float32")
        found = write(vectors, weights)
        for value, other in zip(
            found, fill(vectors, weights, num_steps=2), strict=True
        ):
            np.testing.assert_allclose(value, other, atol=1e-6)


def test_the_means_have_gradients():
    """A slot of n vectors moves by 1/n of each."""
    vectors = tf.constant(RNG.normal(size=(1, 7, 3)))
    weights = tf.ones((1, 7), "float64")
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        mean, count = ops.fill_slots(vectors, weights, 2, 1)
        loss = tf.reduce_sum(mean * count[..., None])
    np.testing.assert_allclose(
        tape.gradient(loss, vectors), np.ones((1, 7, 3)), rtol=1e-6
    )


@pytest.mark.parametrize("largest", [1, 50, 2**23])
def test_nearest_slots_are_numpys(largest, monkeypatch):
    """Whether taken at once or in parts."""
    monkeypatch.setattr(slots, "FEW_SLOTS", 0)
    monkeypatch.setattr(parts, "LARGEST_PART", largest)
    vectors, mean = RNG.normal(size=(2, 9, 3)), RNG.normal(size=(2, 5, 3))
    filled = np.array([[True, False, True, True, True], [False] * 5])
    index, squares = ops.nearest_slots(
        *map(tf.constant, (vectors, mean, filled))
    )
    expected = np.square(vectors[:, :, None] - mean[:, None]).sum(-1)
    expected[:, :, 1] = np.inf
    np.testing.assert_array_equal(index[0], expected[0].argmin(-1))
    np.testing.assert_allclose(squares[0], expected[0].min(-1), rtol=1e-9)
    assert not np.any(index[1]) and np.all(np.isinf(squares[1]))


def test_slot_sums():
    vectors, weights = RNG.normal(size=(2, 9, 3)), RNG.uniform(size=(2, 9))
    slot = RNG.integers(0, 4, size=(2, 9))
    total, number = ops.slot_sums(
        *map(tf.constant, (vectors, weights, slot)), 4
    )
    for b in range(2):
        for k in range(4):
            here = slot[b] == k
            np.testing.assert_allclose(number[b, k], weights[b][here].sum())
            np.testing.assert_allclose(
                total[b, k], weights[b][here] @ vectors[b][here], atol=1e-12
            )


def test_added_vectors_take_empty_slots_or_equal_ones():
    vectors = RNG.normal(size=(1, 6, 3))
    vectors[:, 3] = vectors[:, 1] * (1.0 + 1e-8)
    mean, count = (
        RNG.normal(size=(1, 7, 3)),
        np.array([[1, 0, 2, 0, 1, 0, 0.0]]),
    )
    vectors[:, 5] = mean[:, 2]
    weights = np.array([[1.0, 1.0, 0.0, 1.0, 1.0, 1.0]])
    result, number = ops.add_to_slots(
        *map(tf.constant, (vectors, weights, mean, count)), 3
    )
    np.testing.assert_allclose(number, [[1, 1, 3, 2, 1, 1, 0]])
    # In their order, the absent one aside.
    expected = mean.copy()
    expected[:, [1, 3, 5]] = vectors[:, [0, 1, 4]]
    expected[:, 6] = 0.0
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_an_episode_without_room_shares_its_slots_alone():
    vectors, mean = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 4, 4))
    count = np.array([[2.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    mean = mean * (count[..., None] > 0.0)
    weights = np.ones((2, 3))
    result, number = ops.add_to_slots(
        *map(tf.constant, (vectors, weights, mean, count)), 3
    )
    np.testing.assert_allclose(number[0], [2.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(result[0, 1:], vectors[0])
    together = fill(
        np.concatenate([mean, vectors], axis=1)[1:],
        np.concatenate([count, weights], axis=1)[1:],
    )
    np.testing.assert_allclose(result[1], together[0][0], atol=1e-12)
    np.testing.assert_allclose(number[1], together[1][0], atol=1e-12)


def test_many_vectors_share_slots_as_few_do(monkeypatch):
    vectors = RNG.normal(size=(2, 30, 5)).astype("float32")
    whole = fill(vectors)
    monkeypatch.setattr(slots, "FEW_SLOTS", 0)
    monkeypatch.setattr(parts, "LARGEST_PART", 50)
    for value, expected in zip(fill(vectors), whole, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
