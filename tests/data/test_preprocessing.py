import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import preprocessing
from kgpm.data.preprocessing import Target
from kgpm.errors import UserError


def overlaps(old: int, new: int) -> np.ndarray:
    """Share `[new, old]` that each old pixel has in each new one."""
    edges = np.arange(new + 1) * old / new
    low = np.maximum(edges[:-1, None], np.arange(old)[None])
    high = np.minimum(edges[1:, None], np.arange(1, old + 1)[None])
    return np.maximum(high - low, 0) * new / old


@pytest.mark.parametrize("side", [105, 28, 50])
def test_shrinking_takes_area_means(side):
    images = np.random.RandomState(0).randint(0, 256, (3, side, 61, 1))
    expected = np.einsum(
        "ia,jb,nabc->nijc",
        overlaps(side, 28),
        overlaps(61, 20),
        images.astype(float),
    )

    result = preprocessing.resize(tf.constant(images, tf.float32), 28, 20)

    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_growing_is_bilinear():
    ramp = np.arange(8, dtype=np.float32)[None, None, :, None]
    images = np.tile(ramp, (2, 8, 1, 1))
    # Pixel i of 28 has its centre at (i + 0.5) * 8 / 28 - 0.5 of the old ones.
    centres = (np.arange(28) + 0.5) * 8 / 28 - 0.5
    expected = np.interp(centres, np.arange(8), np.arange(8))

    result = preprocessing.resize(tf.constant(images), 28, 28)

    np.testing.assert_allclose(
        result,
        np.broadcast_to(expected[None, None, :, None], (2, 28, 28, 1)),
        atol=1e-5,
    )


def test_size_known_only_when_it_runs():
    images = np.random.RandomState(1).rand(2, 20, 30, 1).astype(np.float32)
    spec = tf.TensorSpec([None, None, None, 1])

    @tf.function(input_signature=[spec])
    def resize(x):
        return preprocessing.resize(x, 10, 10)

    expected = preprocessing.resize(tf.constant(images), 10, 10)
    np.testing.assert_allclose(resize(images), expected, atol=1e-6)


def test_grey_levels_of_grey_rgb_images_are_kept():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    rgb = preprocessing.transform_array(images, Target(16, 16, 3))
    assert rgb.shape == (1, 16, 16, 3)
    np.testing.assert_array_equal(
        preprocessing.transform_array(rgb, Target(16, 16, 1)), images
    )


@pytest.mark.parametrize(("old", "new"), [(105, 26), (28, 23), (8, 41)])
def test_nearest_pixels(old, new):
    images = np.random.RandomState(0).randint(0, 256, (2, old, 50, 1), np.uint8)
    down = [int((i + 0.5) * old / new) for i in range(new)]
    right = [int((i + 0.5) * 50 / 20) for i in range(20)]
    result = preprocessing.transform_array(
        images, Target(new, 20, 1, nearest=True)
    )
    np.testing.assert_array_equal(result, images[:, down][:, :, right])


def test_invert_and_binary_codes():
    images = np.array([[[[0], [255]]]], np.uint8)
    inverted = preprocessing.transform_array(
        images, Target(1, 2, 1, invert=True)
    )
    np.testing.assert_array_equal(inverted, 255 - images)
    codes = preprocessing.transform_array(
        images // 255, Target(1, 2, 1, binary_codes=True)
    )
    np.testing.assert_array_equal(codes, images)


def test_threshold_is_above_one_half():
    images = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    result = preprocessing.binarize_images(images, "threshold", 0)
    np.testing.assert_array_equal(result.ravel(), [0, 0, 255, 255])


def test_fixed_binarisation_has_the_grey_value_as_its_mean():
    levels = np.array([0, 1, 64, 128, 254, 255], np.uint8)
    num = 40_000
    images = np.tile(levels.reshape(1, 2, 3, 1), (num, 1, 1, 1))

    result = preprocessing.binarize_images(images, "fixed", 3)

    assert set(np.unique(result)) == {0, 255}
    mean = (result / 255.0).mean(0).ravel()
    p = levels / 255.0
    np.testing.assert_array_less(
        np.abs(mean - p), 5 * np.sqrt(p * (1 - p) / num) + 1e-12
    )


def test_fixed_binarisation_depends_on_the_seed_only():
    images = np.full((4, 8, 8, 1), 100, np.uint8)
    first = preprocessing.binarize_images(images, "fixed", 3)
    again = preprocessing.binarize_images(images, "fixed", 3)
    other = preprocessing.binarize_images(images, "fixed", 4)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_floats_become_the_nearest_eight_bit_value():
    levels = np.arange(256) / 255.0
    images = levels.reshape(1, 16, 16)
    expected = np.arange(256).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(
        preprocessing.to_uint8(images, "images"), expected
    )


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((2, 4, 4), np.nan), "NaN"),
        (np.full((2, 4, 4), 255.0), "from 255 to 255"),
        (np.full((2, 4, 4), -0.5), r"in \[0, 1\]"),
        (np.zeros((4, 4)), r"\[4, 4\]"),
        (np.zeros((2, 4, 4, 2)), r"\[2, 4, 4, 2\]"),
        (np.zeros((0, 4, 4)), "at least one image"),
        (np.zeros((2, 4, 4), np.int64), "int64"),
    ],
)
def test_wrong_arrays_are_refused(images, message):
    with pytest.raises(UserError, match=message):
        preprocessing.to_uint8(images, "images")
