import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kgpm.data import SOURCES
from kgpm.data import load_images
from kgpm.data import memory_batches
from tests.data.omniglot_copy import store_omniglot

SPLITS = ("train", "validation", "test")
# The old pixel in which the centre of each new one lies.
NEAREST = np.floor((np.arange(26) + 0.5) * 105 / 26).astype(int)


@pytest.fixture(scope="module")
def small_copy(tmp_path_factory):
    """15 classes for training and 6 for test, of two images each."""
    folder = tmp_path_factory.mktemp("tfds")
    store_omniglot(folder, 30, 12, images_per_class=2)
    return str(folder)


@pytest.mark.slow
def test_strokes_are_white_and_of_the_nearest_pixels(small_copy):
    loaded = load_images("omniglot_26", "test", data_dir=small_copy)
    assert loaded.images.shape == (12, 26, 26, 1)
    np.testing.assert_array_equal(loaded.labels, np.arange(30, 42) // 2)
    for number, image in enumerate(loaded.images[..., 0], start=30):
        # The left number + 1 columns are ink.
        expected = np.where(number >= NEAREST, 255, 0)
        np.testing.assert_array_equal(image, np.tile(expected, (26, 1)))


def test_whole_classes_are_held_out(small_copy, monkeypatch):
    facts = SOURCES["omniglot_26"]
    assert facts.num_validation_classes == 50
    # The copy is too small for 50: a tenth of its classes, or this number.
    for number, asked in ((1, 50), (4, 4)):
        changed = dataclasses.replace(facts, num_validation_classes=asked)
        monkeypatch.setitem(SOURCES, "omniglot_26", changed)
        train, validation = (
            load_images("omniglot_26", split, data_dir=small_copy, seed=asked)
            for split in ("train", "validation")
        )
        held_out = np.unique(validation.labels)
        assert len(held_out) == number and held_out.max() < 15
        assert not np.isin(train.labels, held_out).any()
        assert (len(train), len(validation)) == (30 - 2 * number, 2 * number)
        said = f"validation is {number} whole classes of train"
        assert said in train.description and said in validation.description
        # The labels stay with their images.
        for loaded in (train, validation):
            ink = loaded.images[:, 0, :, 0] == 255
            numbers = [
                np.flatnonzero(loaded.labels[i] == np.arange(42) // 2)
                for i in range(len(loaded))
            ]
            for row, candidates in zip(ink, numbers, strict=True):
                assert any((row == (k >= NEAREST)).all() for k in candidates)


@pytest.fixture(scope="module")
def real(shared_data):
    return {
        split: load_images("omniglot_26", split, data_dir=shared_data)
        for split in SPLITS
    }


@pytest.mark.slow
def test_real_splits_by_class(real):
    classes = {split: np.unique(real[split].labels) for split in SPLITS}
    assert len(classes["train"]) == 964 - 50
    assert len(classes["validation"]) == 50
    background = np.concatenate([classes["train"], classes["validation"]])
    # 964 background characters, then those of the evaluation.
    np.testing.assert_array_equal(np.sort(background), np.arange(964))
    assert classes["test"].min() >= 964 and classes["test"].max() < 1623
    for images in real.values():
        assert images.image_shape == (26, 26, 1)
        counts = np.unique(images.labels, return_counts=True)[1]
        assert (counts == 20).all()
        assert set(np.unique(images.images)) == {0, 255}
        # Strokes are few.
        assert 0.03 < images.images.mean() / 255 < 0.2


@pytest.mark.slow
def test_real_images_are_the_nearest_pixels(real, shared_data):
    raw = tfds.load(
        "omniglot", split="test[:30]", data_dir=shared_data, download=False
    )
    for index, example in enumerate(tfds.as_numpy(raw)):
        expected = 255 - example["image"][NEAREST][:, NEAREST, :1]
        np.testing.assert_array_equal(real["test"].images[index], expected)
        assert real["test"].labels[index] == example["label"]


@pytest.mark.slow
def test_a_real_memory_of_a_whole_class(real):
    test = real["test"]
    batch = next(iter(memory_batches(test, 19, 1, 4, targets=200)))
    for image, memory in zip(batch["images"], batch["memory"], strict=True):
        together = np.concatenate([image, memory]) * 255
        found = sorted(one.astype(np.uint8).tobytes() for one in together)
        # One class has these 20 images, no more and no less.
        assert any(
            found == sorted(one.tobytes() for one in test.images[members])
            for members in np.argsort(test.labels, kind="stable").reshape(
                -1, 20
            )
        )
