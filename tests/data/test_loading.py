import sys

import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import ImageSet
from kgpm.data import load_images
from kgpm.data import loading
from kgpm.errors import UserError


def stripes(source, request):
    """A reader of `stripes:3`, three images with that many white rows."""
    height, width = request.size or (4, 5)
    images = np.zeros((3, height, width, request.channels or 1), np.uint8)
    images[:, : int(source.partition(":")[2])] = 255
    return ImageSet(images, None, "stripes", request.split, source)


def write_image(folder):
    folder.mkdir(parents=True)
    image = tf.io.encode_png(tf.zeros([6, 6, 1], tf.uint8))
    (folder / "one.png").write_bytes(image.numpy())


@pytest.mark.parametrize("place", [0, len(loading.READERS)])
def test_a_reader_of_ones_own(place, monkeypatch):
    readers = list(loading.READERS)
    readers.insert(
        place,
        loading.Reader(
            lambda source: str(source).startswith("stripes:"), stripes
        ),
    )
    monkeypatch.setattr(loading, "READERS", readers)
    loaded = load_images("stripes:2", "test", channels=3, binarize="threshold")
    assert loaded.image_shape == (4, 5, 3)
    assert loaded.split == "test"
    assert loaded.description == "stripes:2, binarised at 0.5"
    assert (loaded.images.mean((0, 2, 3)) == [255, 255, 0, 0]).all()
    assert load_images("digits", "test", image_size=8).name == "digits"


def test_a_folder_called_like_a_data_set_needs_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "digits" / "test")
    assert load_images("digits", "test").image_shape == (28, 28, 1)
    assert load_images("./digits", "test").image_shape == (6, 6, 1)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_quickly_read_shows_no_bar(
    terminal, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    write_image(tmp_path / "test")
    load_images(tmp_path, "test")
    assert capsys.readouterr() == ("", "")


def test_a_source_nothing_reads_is_refused():
    with pytest.raises(UserError, match="received dict; convert it first"):
        load_images({})
    with pytest.raises(UserError, match="Did you mean 'mnist'"):
        load_images("mnits")
