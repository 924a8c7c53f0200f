import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import load_images
from kgpm.errors import UserError


def test_an_array_is_taken_whole_and_copied():
    images = np.random.RandomState(0).randint(0, 256, (7, 5, 4), np.uint8)
    loaded = load_images(images, "test")
    assert loaded.image_shape == (5, 4, 1)
    assert (loaded.split, len(loaded)) == ("test", 7)
    kept = images.copy()
    images[:] = 0
    np.testing.assert_array_equal(loaded.images[..., 0], kept)


def test_size_and_channels_of_an_array():
    images = np.random.RandomState(0).rand(3, 8, 8, 3)
    loaded = load_images(images, image_size=4, channels=1)
    assert loaded.image_shape == (4, 4, 1)
    grey = np.rint(images * 255) @ [0.2989, 0.5870, 0.1140]
    means = grey.reshape(3, 4, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(loaded.images[..., 0], means, atol=0.51)
    assert load_images(images, image_size=(4, 6)).image_shape == (4, 6, 3)


@pytest.mark.parametrize("form", ["image", "dict", "pair", "batch"])
def test_a_dataset_is_taken_whole(form):
    images = np.random.RandomState(0).randint(0, 256, (300, 3, 2, 1), np.uint8)
    labels = np.arange(300)
    elements = {
        "image": images,
        "dict": {"image": images, "label": labels, "id": labels},
        "pair": (images, labels),
        "batch": images,
    }[form]
    dataset = tf.data.Dataset.from_tensor_slices(elements)
    if form == "batch":
        dataset = dataset.batch(7)
    loaded = load_images(dataset)
    np.testing.assert_array_equal(loaded.images, images)
    if form in ("dict", "pair"):
        np.testing.assert_array_equal(loaded.labels, labels)
    else:
        assert loaded.labels is None


def test_wrong_datasets_are_refused():
    slices = tf.data.Dataset.from_tensor_slices
    images = np.zeros((4, 3, 3, 1), np.uint8)
    for dataset, message in (
        (slices(images).repeat(), "endless"),
        (slices(images).take(0), "at least one image"),
        (slices({"picture": images}), "the key 'image'"),
        (slices(np.zeros(4)), "images"),
        (slices((images, images, images)), "pairs"),
        (slices(np.full((4, 3, 3, 1), np.nan)), "NaN"),
    ):
        with pytest.raises(UserError, match=message):
            load_images(dataset)
    ragged = tf.data.Dataset.range(1, 3).map(
        lambda n: tf.zeros(tf.stack([n, n, 1]))
    )
    with pytest.raises(UserError, match="one size"):
        load_images(ragged.map(lambda x: tf.ensure_shape(x, [None, None, 1])))


def test_digits_have_fixed_disjoint_stratified_splits():
    splits = [
        load_images("digits", split, image_size=8)
        for split in ("train", "validation", "test")
    ]
    assert [len(split) for split in splits] == [1295, 143, 359]
    from sklearn.datasets import load_digits

    original = load_digits()
    everything = np.concatenate([split.images for split in splits])
    expected = np.rint(original.images / 16 * 255).astype(np.uint8)
    np.testing.assert_array_equal(
        sorted(image.tobytes() for image in everything),
        sorted(image.tobytes() for image in expected),
    )
    shares = np.bincount(splits[2].labels) / np.bincount(original.target)
    np.testing.assert_allclose(shares, 0.2, atol=0.003)
    # The labels stay with their images.
    lookup = dict(
        zip(
            [image.tobytes() for image in expected],
            original.target,
            strict=True,
        )
    )
    for image, label in zip(splits[0].images, splits[0].labels, strict=True):
        assert lookup[image.tobytes()] == label
    # Another seed changes draws, never membership.
    other = load_images("digits", "test", image_size=8, seed=9)
    np.testing.assert_array_equal(other.images, splits[2].images)


def test_digits_at_the_default_size():
    loaded = load_images("digits", "test", binarize="threshold")
    assert loaded.image_shape == (28, 28, 1)
    assert set(np.unique(loaded.images)) == {0, 255}
    assert "digits test: 359 images 28x28x1" in loaded.description
    assert "binarised at 0.5" in loaded.description


def test_fixed_draws_of_two_splits_differ():
    grey = np.full((5, 8, 8), 128, np.uint8)
    train, test = (
        load_images(grey, split, binarize="fixed").images
        for split in ("train", "test")
    )
    assert (train != test).any()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("digits", {"split": "tset"}, "Did you mean 'test'"),
        ("digits", {"binarize": "treshold"}, "Did you mean 'threshold'"),
        ("digist", {}, "Did you mean 'digits'"),
        ("digits", {"image_size": 0}, "image_size"),
        ("digits", {"image_size": (28, 28, 1)}, "image_size"),
        ("digits", {"image_size": 2.5}, "image_size"),
        ("digits", {"channels": 2}, "channels to be 1"),
        (["digits"], {}, "received list"),
    ],
)
def test_wrong_arguments_are_refused(source, options, message):
    with pytest.raises(UserError, match=message):
        load_images(source, **options)
