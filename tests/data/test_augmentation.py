import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import ImageSet
from kgpm.data import episodes
from kgpm.data.augmentation import augment
from kgpm.errors import UserError
from kgpm.ops import make_seed


def images(height=28, width=28, channels=1, num_episodes=64, length=3):
    pixels = np.random.RandomState(0).randint(
        0, 2, (num_episodes, length, height, width, channels)
    )
    return tf.constant(pixels, tf.float32)


def moved(image, down, right):
    """A shifted copy by slices, black where nothing comes in."""
    height, width, _ = image.shape
    copy = np.zeros_like(image)
    copy[max(down, 0) : height + min(down, 0)][
        :, max(right, 0) : width + min(right, 0)
    ] = image[max(-down, 0) : height + min(-down, 0)][
        :, max(-right, 0) : width + min(-right, 0)
    ]
    return copy


def found(variants, image):
    """Which of the variants an image is."""
    (which,) = [
        index
        for index, variant in enumerate(variants)
        if variant.shape == image.shape and (variant == image).all()
    ]
    return which


@pytest.mark.parametrize(
    ("kinds", "variants"),
    [
        (["mirror"], lambda image: [image, image[:, ::-1]]),
        (["turn"], lambda image: [np.rot90(image, k) for k in range(4)]),
        (
            ["turn", "mirror"],
            lambda image: [
                np.rot90(one, k)
                for one in (image, image[:, ::-1])
                for k in range(4)
            ],
        ),
    ],
)
def test_an_episode_has_one_variant_and_each_is_as_likely(kinds, variants):
    before = images(channels=2)
    after = augment(before, kinds, make_seed(1)).numpy()
    which = [
        [
            found(variants(image), changed)
            for image, changed in zip(episode, episode_after, strict=True)
        ]
        for episode, episode_after in zip(before.numpy(), after, strict=True)
    ]
    assert all(len(set(each)) == 1 for each in which)
    counts = np.bincount([each[0] for each in which])
    expected = len(which) / len(variants(before.numpy()[0, 0]))
    # Chi-square, within 5 standard deviations of its mean.
    degrees = len(counts) - 1
    square = np.sum((counts - expected) ** 2 / expected)
    assert square < degrees + 5 * np.sqrt(2 * degrees)


def test_each_image_has_a_shift_of_its_own():
    before = images(28, 14, num_episodes=32)
    after = augment(before, ["shift"], make_seed(2)).numpy()
    # A 14th of each side: 2 pixels down and up, 1 to the right and left.
    shifts = [(down, right) for down in range(-2, 3) for right in (-1, 0, 1)]
    which = np.array(
        [
            found([moved(image, *shift) for shift in shifts], changed)
            for image, changed in zip(
                before.numpy().reshape(-1, 28, 14, 1),
                after.reshape(-1, 28, 14, 1),
                strict=True,
            )
        ]
    )
    assert set(which) == set(range(len(shifts)))
    assert any(len(set(each)) > 1 for each in which.reshape(32, 3))


def test_seeds_decide():
    kinds = ["mirror", "turn", "shift"]
    one, same, other = (
        augment(images(), kinds, make_seed(seed)).numpy() for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def stored(split):
    pixels = np.random.RandomState(0).randint(0, 256, (24, 28, 28, 1))
    return ImageSet(
        pixels.astype("uint8"),
        name="noise",
        split=split,
        description="noise",
        labels=None,
    )


def test_training_has_variants_anew_in_each_epoch_and_evaluation_none():
    plain, varied = (
        list(
            episodes(
                stored("train"),
                episode_length=4,
                batch_size=2,
                augmentations=kinds,
                repeat=True,
            ).take(6)
        )
        for kinds in ([], ["mirror", "turn"])
    )
    for before, after in zip(plain, varied, strict=True):
        assert before["images"].shape == after["images"].shape
        np.testing.assert_allclose(
            np.sort(before["images"].numpy().reshape(2, 4, -1)),
            np.sort(after["images"].numpy().reshape(2, 4, -1)),
        )
    changed = [
        (before["images"].numpy() != after["images"].numpy()).any()
        for before, after in zip(plain, varied, strict=True)
    ]
    assert sum(changed) >= 4
    before, after = (
        episodes(stored("test"), episode_length=4, augmentations=kinds)
        for kinds in ([], ["mirror", "turn"])
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one["images"], other["images"])


@pytest.mark.parametrize(
    ("kinds", "shape", "words"),
    [
        (["flip"], (28, 28, 1), "mirror, turn, shift, received 'flip'"),
        (["turn"], (28, 14, 1), "square images .* 28x14"),
    ],
)
def test_mistakes_are_named(kinds, shape, words):
    with pytest.raises(UserError, match=words):
        augment(tf.zeros((1, 1, *shape)), kinds, make_seed(0))
