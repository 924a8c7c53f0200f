import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import CORRUPTIONS
from kgpm.data import corruption_functions as corruptions
from kgpm.errors import UserError

LEVELS = {
    "salt_and_pepper": 0.3,
    "block": 5,
    "rotate": 30.0,
    "gaussian": 0.2,
    "speckle": 0.3,
    "poisson": 20.0,
}


def grey(num=500, value=0.5, channels=1) -> tf.Tensor:
    return tf.fill([num, 12, 10, channels], value)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption(name):
    corrupt, level = CORRUPTIONS[name].function, LEVELS[name]
    pattern = np.random.RandomState(0).rand(1, 1, 12, 10, 3)
    images = tf.constant(np.tile(pattern, (2, 3, 1, 1, 1)), tf.float32)
    result = corrupt(images, level, 7).numpy()
    assert result.shape == images.shape
    assert result.dtype == np.float32
    assert result.min() >= 0.0
    assert result.max() <= 1.0
    assert (result != images.numpy()).any()
    # The seed decides, as an integer or a pair, eager or in a graph.
    pair = tf.constant([7, 0])
    traced = tf.function(lambda x, s: corrupt(x, level, s))(images, pair)
    np.testing.assert_allclose(traced, result, atol=1e-6)
    assert (corrupt(images, level, 8).numpy() != result).any()
    # Equal images get unequal corruptions.
    flat = result.reshape(6, -1)
    assert len(np.unique(flat, axis=0)) >= 5


def test_salt_and_pepper_statistics():
    images = grey(channels=3)
    result = corruptions.salt_and_pepper(images, 0.2, 1).numpy()
    # Channels of a pixel go together.
    assert (result == result[..., :1]).all()
    n = result[..., 0].size
    for value, p in ((0.0, 0.1), (1.0, 0.1), (0.5, 0.8)):
        share = (result[..., 0] == value).mean()
        assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / n)


def test_salt_and_pepper_at_the_ends():
    images = grey(4)
    np.testing.assert_array_equal(
        corruptions.salt_and_pepper(images, 0.0, 1), images
    )
    assert (
        not (corruptions.salt_and_pepper(images, 1.0, 1) == 0.5).numpy().any()
    )


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_block_is_one_square_anywhere(value):
    result = corruptions.block(grey(3000, channels=2), 4, 1, value).numpy()
    covered = (result == value).all(-1)
    assert ((result == value).any(-1) == covered).all()
    assert (covered.sum((1, 2)) == 16).all()
    first_row = covered.any(2).argmax(1)
    first_column = covered.any(1).argmax(1)
    rows = covered.any(2).sum(1)
    assert (rows == 4).all()
    assert (covered.any(1).sum(1) == 4).all()
    # 12 - 4 + 1 rows and 10 - 4 + 1 columns, equally likely.
    for start, places in ((first_row, 9), (first_column, 7)):
        counts = np.bincount(start, minlength=places)
        assert len(counts) == places
        p = 1 / places
        sigma = np.sqrt(3000 * p * (1 - p))
        assert np.abs(counts - 3000 * p).max() < 5 * sigma


def test_rotation_by_right_angles_is_exact():
    images = np.random.RandomState(0).rand(3, 7, 7, 2).astype(np.float32)
    result = corruptions.rotate_by(images, [90.0, 180.0, 0.0]).numpy()
    np.testing.assert_allclose(result[0], np.rot90(images[0]), atol=1e-5)
    np.testing.assert_allclose(result[1], np.rot90(images[1], 2), atol=1e-5)
    np.testing.assert_allclose(result[2], images[2], atol=1e-6)


def test_rotation_interpolates_bilinearly_with_zeros_outside():
    side, degrees = 8, 27.0
    image = np.random.RandomState(0).rand(side, side).astype(np.float32)
    angle = np.radians(degrees)
    middle = (side - 1) / 2
    expected = np.zeros((side, side))
    for i in range(side):
        for j in range(side):
            # Where pixel (i, j) was before a counter-clockwise turn; y is down.
            x, y = j - middle, i - middle
            u = np.cos(angle) * x - np.sin(angle) * y + middle
            v = np.sin(angle) * x + np.cos(angle) * y + middle
            for a in range(side):
                for b in range(side):
                    share = max(0, 1 - abs(v - a)) * max(0, 1 - abs(u - b))
                    expected[i, j] += share * image[a, b]
    result = corruptions.rotate_by(image[None, :, :, None], [degrees])
    np.testing.assert_allclose(result[0, :, :, 0], expected, atol=1e-5)


def test_rotation_angles_are_uniform():
    # A dot to the right of the centre: where it goes tells the angle.
    images = np.zeros((800, 41, 41, 1), np.float32)
    images[:, 19:22, 34:37] = 1.0
    result = corruptions.rotate(images, 45.0, 3).numpy()[..., 0]
    y, x = np.mgrid[:41, :41] - 20
    total = result.sum((1, 2))
    angle = np.degrees(
        np.arctan2(
            -(result * y).sum((1, 2)) / total, (result * x).sum((1, 2)) / total
        )
    )
    assert np.abs(angle).max() < 46
    quantiles = np.quantile(angle, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles, [-36, 0, 36], atol=6)


def test_rotation_of_binary_images_stays_binary():
    images = tf.round(tf.random.stateless_uniform([5, 9, 9, 1], [0, 1]))
    result = corruptions.rotate(images, 45.0, 1, binary=True)
    assert set(np.unique(result)) == {0.0, 1.0}


def test_gaussian_and_speckle_moments():
    images = grey(2000, value=0.4)
    n = images.shape.num_elements()
    for name, expected in (("gaussian", 0.05), ("speckle", 0.05 * 0.4)):
        noise = CORRUPTIONS[name].function(images, 0.05, 2).numpy() - 0.4
        assert abs(noise.mean()) < 5 * expected / np.sqrt(n)
        assert abs(noise.std() / expected - 1) < 5 / np.sqrt(2 * n)
    black = tf.zeros([1, 5, 5, 1])
    assert (corruptions.speckle(black, 1.0, 0).numpy() == 0).all()


def test_poisson_moments():
    images = grey(2000, value=0.25)
    result = corruptions.poisson(images, 40.0, 2).numpy()
    np.testing.assert_allclose(result * 40, np.round(result * 40), atol=1e-4)
    n = result.size
    assert abs(result.mean() - 0.25) < 5 * np.sqrt(0.25 / 40 / n)
    np.testing.assert_allclose(result.var(), 0.25 / 40, rtol=0.02)


@pytest.mark.parametrize(
    ("name", "level", "message"),
    [
        ("salt_and_pepper", 15, "in \\[0, 1\\], received 15"),
        ("block", 11, "12x10 images, received 11"),
        ("block", 2.5, "received 2.5"),
        ("rotate", -1.0, "received -1"),
        ("gaussian", float("nan"), "received nan"),
        ("speckle", -0.1, "received -0.1"),
        ("poisson", 0.0, "received 0"),
    ],
)
def test_wrong_levels_are_refused(name, level, message):
    with pytest.raises(UserError, match=message):
        CORRUPTIONS[name].function(grey(1), level, 0)


def test_wrong_images_are_refused():
    with pytest.raises(UserError, match="uint8"):
        corruptions.gaussian(np.zeros((1, 4, 4, 1), np.uint8), 0.1, 0)
    with pytest.raises(UserError, match="add the missing axes"):
        corruptions.gaussian(np.zeros((4, 4), np.float32), 0.1, 0)
