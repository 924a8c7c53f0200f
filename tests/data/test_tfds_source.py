import socket

import numpy as np
import pytest
import tensorflow_datasets as tfds
from scipy import io

from kgpm.data import SOURCES
from kgpm.data import load_images
from kgpm.data import omniglot_burda
from kgpm.data.preprocessing import Target
from kgpm.data.tfds_source import TFDSReader
from kgpm.errors import UserError
from tests.data.omniglot_copy import store_omniglot

MOCKED = [name for name in SOURCES if name != "digits"]


@pytest.mark.slow
@pytest.mark.parametrize("name", MOCKED)
def test_every_source_loads_from_a_mock(name):
    with tfds.testing.mock_data(num_examples=12):
        splits = [
            load_images(name, split)
            for split in ("train", "validation", "test")
        ]
    facts = SOURCES[name]
    for split in splits:
        side = facts.image_size
        assert split.image_shape == (side, side, facts.channels)
        assert split.images.dtype == np.uint8
        assert split.name == name
        assert split.description.startswith(f"{name} {split.split}: ")
    sizes = [len(split) for split in splits]
    if name == "omniglot_burda":
        # 24 images, in the proportions of the true split.
        assert sizes == [17, 1, 6]
    elif facts.validation:
        assert sizes == [12, 12, 12]
    else:
        assert sizes == [11, 1, 12]


def test_what_reports_must_say():
    with tfds.testing.mock_data(num_examples=12):
        said = {
            name: load_images(name, "test").description
            for name in ("omniglot_burda", "imagenet_resized/32x32")
        }
    assert "Burda-like" in said["omniglot_burda"]
    assert "not comparable" in said["omniglot_burda"]
    assert "official validation split" in said["imagenet_resized/32x32"]


def test_missing_data_is_one_sentence_and_no_network(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(UserError) as error:
        load_images("fashion_mnist", data_dir=str(tmp_path / "none"))
    message = str(error.value)
    for part in ("fashion_mnist", "none", "--data_dir", "--download"):
        assert part in message
    assert "\n" not in message


def test_the_environment_variable_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "from_variable"))
    with pytest.raises(UserError, match="from_variable"):
        load_images("mnist")
    with pytest.raises(UserError, match="from_argument"):
        load_images("mnist", data_dir=str(tmp_path / "from_argument"))


def test_a_failed_download_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UserError, match=r"\(no route to host\)"):
        load_images("mnist", data_dir=str(tmp_path), download=True)


@pytest.fixture(scope="module")
def small_omniglot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    store_omniglot(folder, 20, 12)
    return str(folder)


@pytest.mark.slow
def test_burda_like_split_is_a_partition(small_omniglot):
    splits = [
        load_images("omniglot_burda", split, data_dir=small_omniglot)
        for split in ("train", "validation", "test")
    ]
    assert [len(split) for split in splits] == [22, 2, 8]
    numbers = np.concatenate([split.labels for split in splits])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(32))
    # Both splits of the source are mixed.
    assert splits[0].labels.min() < 20 <= splits[0].labels.max()
    assert splits[2].labels.min() < 20 <= splits[2].labels.max()


def test_omniglot_is_inverted_and_area_resized(small_omniglot):
    loaded = load_images("omniglot", "test", data_dir=small_omniglot)
    np.testing.assert_array_equal(loaded.labels, np.arange(20, 32))
    # A column of 105 / 28 = 3.75 old pixels: i + 1 of them are ink.
    edges = np.arange(28) * 3.75
    for image, label in zip(loaded.images, loaded.labels, strict=True):
        ink = np.clip((label + 1 - edges) / 3.75, 0, 1) * 255
        np.testing.assert_allclose(image[:, :, 0], [ink] * 28, atol=0.51)


def test_chosen_images_come_in_the_order_of_the_files(small_omniglot):
    reader = TFDSReader("omniglot", small_omniglot)
    _, labels = reader.read(
        [("train", np.array([3, 5])), ("test", np.array([0, 11]))],
        Target(28, 28, 1),
    )
    np.testing.assert_array_equal(labels, [3, 5, 20, 31])


def test_a_damaged_copy_is_refused(tmp_path):
    store_omniglot(tmp_path, 3, 2)
    (records,) = tmp_path.glob("omniglot/3.0.0/*-train.tfrecord*")
    records.write_bytes(records.read_bytes()[:-10])
    with pytest.raises(UserError, match="prepare it again"):
        load_images("omniglot", data_dir=str(tmp_path))


def glyph():
    """An upright L: a stroke down the left side, another along the bottom."""
    image = np.zeros((28, 28))
    image[4:24, 6] = 1.0
    image[23, 6:15] = 1.0
    return image


def test_burdas_file_is_column_major(tmp_path, monkeypatch):
    monkeypatch.setattr(omniglot_burda, "NUM_TRAIN", 20)
    monkeypatch.setattr(omniglot_burda, "NUM_TEST", 3)
    column = glyph().ravel(order="F")[:, None]
    io.savemat(
        tmp_path / omniglot_burda.MAT_FILE,
        {"data": np.tile(column, 20), "testdata": np.tile(column, 3)},
    )
    sizes = []
    for split in ("train", "validation", "test"):
        loaded = load_images("omniglot_burda", split, data_dir=str(tmp_path))
        sizes.append(len(loaded))
        for image in loaded.images:
            np.testing.assert_array_equal(image[..., 0], glyph() * 255)
        assert "Burda's split" in loaded.description
        assert "Burda-like" not in loaded.description
    assert sizes == [18, 2, 3]


def test_broken_burda_files_are_refused(tmp_path):
    path = tmp_path / omniglot_burda.MAT_FILE
    io.savemat(path, {"data": np.zeros((784, 2))})
    with pytest.raises(UserError, match="testdata"):
        load_images("omniglot_burda", "test", data_dir=str(tmp_path))
    io.savemat(path, {"data": np.zeros((100, 2))})
    with pytest.raises(UserError, match=r"\[100, 2\]"):
        load_images("omniglot_burda", data_dir=str(tmp_path))
    io.savemat(path, {"data": np.zeros((784, 2))})
    with pytest.raises(UserError, match="24,345 images for train, received 2"):
        load_images("omniglot_burda", data_dir=str(tmp_path))
    path.write_bytes(b"not a mat file")
    with pytest.raises(UserError, match="fetch it again"):
        load_images("omniglot_burda", data_dir=str(tmp_path))


@pytest.mark.slow
def test_real_omniglot_has_burdas_number_for_training(shared_data):
    sizes = {
        split: load_images(
            "omniglot_burda",
            split,
            binarize="threshold",
            data_dir=shared_data,
        )
        for split in ("train", "validation", "test")
    }
    assert len(sizes["train"]) + len(sizes["validation"]) == 24_345
    assert len(sizes["validation"]) == 1_345
    assert sizes["test"].label == "omniglot_burda (Burda-like)"
    for images in sizes.values():
        # Strokes are bright and few.
        assert 0.02 < images.images.mean() / 255.0 < 0.3


@pytest.mark.slow
def test_real_cifar10_is_as_tfds_has_it(shared_data):
    import tensorflow_datasets as tfds

    loaded = load_images("cifar10", "test", data_dir=shared_data)
    raw = tfds.load(
        "cifar10", split="test[:20]", data_dir=shared_data, download=False
    )
    for index, example in enumerate(tfds.as_numpy(raw)):
        np.testing.assert_array_equal(loaded.images[index], example["image"])


@pytest.mark.slow
def test_real_mnist(shared_data):
    loaded = load_images("mnist", "test", data_dir=shared_data)
    assert loaded.images.shape[1:] == (28, 28, 1)
    # The mean grey level of MNIST is 0.1307.
    np.testing.assert_allclose(loaded.images.mean() / 255, 0.1307, atol=3e-3)
    reader = tfds.load(
        "mnist", split="test[:50]", data_dir=shared_data, download=False
    )
    for index, example in enumerate(reader):
        np.testing.assert_array_equal(loaded.images[index], example["image"])
        assert loaded.labels[index] == example["label"].numpy()
