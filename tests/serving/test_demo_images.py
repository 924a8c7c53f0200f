"""Images for the page, against pixels that are known."""

import base64
import io

import matplotlib.image
import numpy as np
import pytest
from sklearn import datasets

from kgpm.data import CORRUPTIONS
from kgpm.data import get_corruption
from kgpm.errors import UserError
from kgpm.serving.demo import html
from kgpm.serving.demo import images as demo_images

GREY = (4, 4, 1)
COLOUR = (4, 4, 3)


def png(values):
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, values, format="png")
    return buffer.getvalue()


def data_url(values):
    return "data:image/png;base64," + base64.b64encode(png(values)).decode()


def rgba(grey, alpha=255):
    """`[4, 4]` as PNGs are drawn: grey with alpha."""
    grey = np.asarray(grey, np.uint8)
    values = np.stack([grey, grey, grey, np.full_like(grey, alpha)], -1)
    return values


@pytest.fixture
def ramp():
    """Grey levels 0 to 240."""
    return np.arange(0, 256, 16, np.uint8).reshape(4, 4)


@pytest.mark.parametrize("binary", [True, False])
def test_examples_are_digits(binary):
    images = demo_images.example_images((8, 8, 1), binary=binary)
    assert images.shape == (40, 8, 8, 1)
    known = datasets.load_digits().images / 16
    if binary:
        # Half of 255 is 128.
        known = known >= 0.5
    distances = np.abs(known - images[..., 0][:, np.newaxis]).max((2, 3))
    assert distances.min(1).max() <= 0.5 / 255 + 1e-6


def test_a_model_of_colours_has_no_examples():
    images = demo_images.example_images((8, 8, 3), binary=False)
    assert images.shape == (0, 8, 8, 3)


@pytest.mark.parametrize("invert", [False, True])
def test_files_are_read(tmp_path, ramp, invert):
    path = tmp_path / "ramp.png"
    path.write_bytes(png(rgba(ramp)))
    found = demo_images.images_of_files(
        [str(path)] * 2, GREY, binary=False, invert=invert
    )
    expected = 255.0 - ramp if invert else ramp
    for image in found:
        np.testing.assert_allclose(image[..., 0] * 255, expected, atol=1.0)


def test_files_become_black_or_white(tmp_path, ramp):
    path = tmp_path / "ramp.png"
    path.write_bytes(png(rgba(ramp)))
    (found,) = demo_images.images_of_files([path], GREY, binary=True)
    np.testing.assert_array_equal(found[..., 0], ramp >= 128)


def test_files_of_another_size_and_colour_fit(tmp_path):
    path = tmp_path / "red.png"
    values = np.zeros((10, 7, 3), np.uint8)
    values[..., 0] = 255
    path.write_bytes(png(values))
    (found,) = demo_images.images_of_files([path], COLOUR, binary=False)
    np.testing.assert_array_equal(found, np.broadcast_to([1, 0, 0], COLOUR))


def test_a_file_that_is_no_image_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    with pytest.raises(UserError, match=r"^notes\.txt cannot be read as an im"):
        demo_images.images_of_files([str(path)], GREY, binary=True)


@pytest.mark.parametrize("paths", [None, []])
def test_no_file_is_a_mistake(paths):
    with pytest.raises(UserError, match="Choose one or more image files"):
        demo_images.images_of_files(paths, GREY, binary=True)


def test_a_drawing_stands_on_black_ground(ramp):
    """White ink of which the pen's edge is half transparent."""
    values = rgba(np.full((4, 4), 255))
    values[..., 3] = ramp
    (found,) = demo_images.image_of_drawing(
        data_url(values), GREY, binary=False
    )
    np.testing.assert_allclose(found[..., 0] * 255, ramp, atol=1.0)


@pytest.mark.parametrize(
    "drawing",
    [None, "", "data:,", "abc", "data:image/png;base64,AAAA", 3, ["x"]],
)
def test_an_empty_pad_is_a_mistake(drawing):
    with pytest.raises(UserError, match="Nothing is drawn"):
        demo_images.image_of_drawing(drawing, GREY, binary=True)


def test_a_cleared_pad_is_a_mistake():
    cleared = data_url(rgba(np.zeros((4, 4)), alpha=0))
    with pytest.raises(UserError, match="Nothing is drawn"):
        demo_images.image_of_drawing(cleared, GREY, binary=True)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_corruption_takes_the_whole_slider(kind):
    level = get_corruption(kind).level_of((8, 12, 1))
    images = np.ones((2, 8, 12, 1), "float32")
    for value in (level.lowest, level.default, level.highest):
        for binary in (True, False):
            found = demo_images.corrupt(images, kind, value, 0, binary=binary)
            assert found.shape == images.shape
            assert found.min() >= 0.0 and found.max() <= 1.0
            assert not binary or np.isin(found, [0.0, 1.0]).all()


def test_no_corruption_changes_nothing():
    images = np.full((1, *GREY), 0.3, "float32")
    found = demo_images.corrupt(images, "none", None, 0, binary=True)
    np.testing.assert_array_equal(found, images)


def test_a_picture_has_the_pixels_of_its_image():
    image = np.array([[[0.0], [1.0]], [[0.2], [np.nan]], [[-3.0], [7.0]]])
    _, _, text = html.data_url(image).partition("base64,")
    found = matplotlib.image.imread(io.BytesIO(base64.b64decode(text)))
    np.testing.assert_allclose(found, [[0, 1], [0.2, 0], [0, 1]], atol=1e-6)


def test_rows_of_a_memory_go_from_black_to_white():
    rows = np.array([[-2.0, 0.0, 2.0]])
    found = html.memory_rows(rows)
    assert "1 rows of 3 numbers, black -2.00, white 2.00" in found
    text = found.partition("base64,")[2].partition("'")[0]
    pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(text)))
    np.testing.assert_allclose(pixels, [[0.0, 0.5, 1.0]], atol=1 / 255)
    assert html.memory_rows(None) == ""


def test_text_is_no_html():
    cells = {"<i>": [html.Cell(np.zeros(GREY), "<i>")]}
    for found in (
        html.sentence("<i>"),
        html.title("<i>", "<i>"),
        html.grid(cells, last_apart=True),
    ):
        assert "&lt;i&gt;" in found and "<i>" not in found
