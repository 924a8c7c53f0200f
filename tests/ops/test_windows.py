"""Reading of windows against a bilinear loop and SciPy."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from kgpm import ops


def by_loop(memory, window, size):
    """One window of one memory, point by point."""
    height, width, channels = memory.shape
    scale, shift_x, shift_y = window
    result = np.zeros((*size, channels))
    for i, v in enumerate(np.linspace(-1, 1, size[0])):
        for j, u in enumerate(np.linspace(-1, 1, size[1])):
            y = (scale * v + shift_y + 1) * (height - 1) / 2
            x = (scale * u + shift_x + 1) * (width - 1) / 2
            low_y, low_x = int(np.floor(y)), int(np.floor(x))
            for p in (low_y, low_y + 1):
                for q in (low_x, low_x + 1):
                    if 0 <= p < height and 0 <= q < width:
                        weight = (1 - abs(y - p)) * (1 - abs(x - q))
                        result[i, j] += weight * memory[p, q]
    return result


def random_case(seed=0):
    rng = np.random.default_rng(seed)
    memory = rng.normal(size=(2, 7, 6, 3))
    windows = rng.normal(size=(2, 4, 2, 3))
    return memory, windows


@pytest.mark.parametrize("size", [(5, 4), (2, 3), (9, 9)])
def test_windows_are_those_of_a_loop(size):
    memory, windows = random_case()
    result = ops.read_windows(tf.constant(memory), tf.constant(windows), size)
    assert result.shape == (2, 4, *size, 6)
    for b, q, k in np.ndindex(2, 4, 2):
        expected = by_loop(memory[b], windows[b, q, k], size)
        stacked = result[b, q, :, :, 3 * k : 3 * k + 3]
        np.testing.assert_allclose(stacked, expected, atol=1e-12)


def test_the_middle_of_a_memory_is_as_scipy_reads_it():
    memory, _ = random_case()
    window = np.array([0.5, 0.25, -0.125]).reshape(1, 1, 1, 3)
    result = ops.read_windows(memory[:1], window, (5, 4))[0, 0]
    v, u = np.meshgrid(
        np.linspace(-1, 1, 5), np.linspace(-1, 1, 4), indexing="ij"
    )
    places = [(0.5 * v - 0.125 + 1) * 3, (0.5 * u + 0.25 + 1) * 2.5]
    for channel in range(3):
        expected = scipy.ndimage.map_coordinates(
            memory[0, ..., channel], places, order=1
        )
        np.testing.assert_allclose(result[..., channel], expected)


def test_the_identity_returns_the_memory_exactly():
    memory = np.random.default_rng(2).normal(size=(1, 8, 8, 2)).astype("f4")
    window = np.array([1.0, 0.0, 0.0], "f4").reshape(1, 1, 1, 3)
    result = ops.read_windows(memory, window, (8, 8))
    np.testing.assert_array_equal(result[0, 0], memory[0])


def test_a_shift_of_one_cell_moves_by_one_pixel():
    memory = np.random.default_rng(3).normal(size=(1, 5, 5, 1))
    # Neighbouring centres are 2 / (5 - 1) apart.
    window = np.array([1.0, 0.5, 0.0]).reshape(1, 1, 1, 3)
    result = ops.read_windows(memory, window, (5, 5))[0, 0]
    np.testing.assert_allclose(result[:, :-1], memory[0, :, 1:], atol=1e-15)
    np.testing.assert_array_equal(result[:, -1], np.zeros((5, 1)))


def test_a_negative_scale_mirrors():
    memory = np.random.default_rng(4).normal(size=(1, 4, 4, 1))
    window = np.array([-1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    result = ops.read_windows(memory, window, (4, 4))[0, 0]
    np.testing.assert_allclose(result, memory[0, ::-1, ::-1], atol=1e-15)


@pytest.mark.slow
def test_gradients_reach_memory_and_windows():
    """Central differences, away from the kinks."""
    memory, windows = map(tf.constant, random_case(5))

    def total(memory, windows):
        points = ops.read_windows(memory, windows, (4, 3))
        return tf.reduce_sum(tf.sin(points))

    theory, numeric = tf.test.compute_gradient(
        total, [memory, windows], delta=1e-6
    )
    for left, right in zip(theory, numeric, strict=True):
        assert np.abs(left).max() > 0.0
        np.testing.assert_allclose(left, right, atol=1e-6)


def test_cells_outside_a_window_have_no_gradient():
    memory = tf.ones((1, 9, 9, 1))
    window = tf.constant([[[[0.25, 0.5, 0.5]]]])
    with tf.GradientTape() as tape:
        tape.watch(memory)
        points = ops.read_windows(memory, window, (6, 6))
    gradient = tape.gradient(points, memory)[0, ..., 0].numpy()
    assert (gradient[5:8, 5:8] > 0.0).all()
    assert not gradient[:5].any() and not gradient[:, :5].any()


def test_bounded_windows_stay_inside():
    keys = 5.0 * np.random.default_rng(6).normal(size=(1000, 3))
    windows = np.asarray(ops.bounded_windows(tf.constant(keys)))
    scale, shift = windows[:, :1], windows[:, 1:]
    assert (scale >= 0.1).all() and (scale <= 1.0).all()
    assert (np.abs(shift) + scale <= 1.0 + 1e-12).all()
    np.testing.assert_allclose(ops.share_inside(windows), 1.0, atol=1e-9)


def test_share_inside_is_the_share_of_points_that_are():
    rng = np.random.default_rng(7)
    windows = rng.normal(size=(20, 3))
    for window, share in zip(
        windows, ops.share_inside(windows).numpy(), strict=True
    ):
        points = rng.uniform(-1, 1, size=(20_000, 2)) * window[0] + window[1:]
        inside = (np.abs(points) <= 1.0).all(axis=1).mean()
        assert abs(inside - share) < 0.02


def test_one_function_reads_any_number_of_windows():
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 7, 6, 3], tf.float64),
            tf.TensorSpec([None, None, 2, 3], tf.float64),
        ]
    )
    def read(memory, windows):
        return ops.read_windows(memory, windows, (4, 4))

    memory, windows = random_case()
    assert read(memory, windows).shape == (2, 4, 4, 4, 6)
    assert read(memory[:1], windows[:1, :3]).shape == (1, 3, 4, 4, 6)


def test_xla_reads_the_same_windows_and_gradients():
    def read(memory, windows):
        with tf.GradientTape() as tape:
            tape.watch([memory, windows])
            points = ops.read_windows(memory, windows, (4, 3))
            total = tf.reduce_sum(tf.sin(points))
        return points, *tape.gradient(total, [memory, windows])

    case = [tf.constant(value) for value in random_case(8)]
    plain = read(*case)
    compiled = tf.function(read, jit_compile=True)(*case)
    for left, right in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-12)
