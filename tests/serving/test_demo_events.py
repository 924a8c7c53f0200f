"""What the page answers, on small exported models and on a stand-in."""

import asyncio
import re
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from kgpm.errors import UserError
from kgpm.serving.demo import answers
from kgpm.serving.demo.events import DemoEvents
from kgpm.serving.demo.model import DemoModel
from kgpm.serving.demo.model import Written
from kgpm.serving.demo.page import build_page
from tests.models.conftest import SHAPE
from tests.models.conftest import make
from tests.serving.doubles import EagerModel
from tests.serving.test_demo_images import data_url
from tests.serving.test_demo_images import png
from tests.serving.test_demo_images import rgba


@pytest.fixture(scope="module")
def model(exported):
    return DemoModel(exported)


@pytest.fixture(scope="module", params=["grid_autoencoder", "vae"])
def without_memory(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    return DemoModel(EagerModel(make(request.param), path))


@pytest.fixture
def pool():
    """Ten binary images."""
    generator = np.random.default_rng(5)
    return (generator.random((10, *SHAPE)) > 0.6).astype("float32")


def text_of(html):
    return re.sub(r"<[^>]*>", " ", html)


def captions(html):
    return re.findall(r"<span>(.*?)</span>", html)


def is_mistake(outputs, sentence):
    said, *others = outputs
    assert sentence in said and "kgpm-mistake" in said
    # Everything else stays as it was.
    return all(other == gr.skip() for other in others)


def test_a_model_says_what_it_is(model):
    assert model.name == "small"
    assert model.image_shape == SHAPE
    assert model.description.startswith("GPM of kgpm ")
    assert model.has_memory and model.has_prior and model.binary


def test_an_export_without_a_card_is_described(model, monkeypatch, tmp_path):
    exported = SimpleNamespace(path=tmp_path)
    stand_in = SimpleNamespace(_exported=exported, image_shape=(8, 8, 1))
    found = DemoModel._describe(stand_in)
    assert found == "A model for images of 8 x 8 x 1."


def test_reads_are_those_of_the_model(model, pool):
    written = model.write(pool[:5])
    assert written.num_numbers == 4 * 10
    assert written.rows.shape == (4, 10)
    original = make("gpm")
    memory = original.write(pool[np.newaxis, :5])
    expected = original.denoise(pool[np.newaxis, 5:7], memory, num_steps=3)
    found = model.read(pool[5:7], written, 3)
    np.testing.assert_allclose(found, np.asarray(expected)[0], atol=1e-5)


def test_the_same_seed_draws_the_same(model, pool):
    written = model.write(pool)
    first, same, other = (
        model.generate(written, 3, 2, seed) for seed in (1, 1, 2)
    )
    assert first.shape == (2, 3, *SHAPE)
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


class StandIn(SimpleNamespace):
    """A binary model of 2 x 2 pixels that reads and draws what it is told."""

    image_shape = (2, 2, 1)
    binary = True
    has_memory = True

    def read(self, queries, written, steps):
        return np.asarray(self.images, "float32").reshape(steps, -1, 2, 2, 1)

    def generate(self, written, num_samples, steps, seed):
        return self.read(None, None, steps)


BLACK, WHITE, LEFT = [0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]
WRITTEN = Written(
    np.array([BLACK, WHITE], "float32").reshape(2, 2, 2, 1), {"memory_m": 0}
)


def test_a_reading_counts_the_pixels_that_differ():
    """From half white to one white pixel: black is asked for and is nearest."""
    model = StandIn(images=[[1, 0, 1, 1], [0, 0, 1, 0]])
    query = np.array(LEFT, "float32").reshape(1, 2, 2, 1)
    answer = answers.reading(model, query, WRITTEN, 2, np.array([0]))
    assert captions(answer.pictures) == ["2 px", "3 px", "1 px", "no. 1"]
    assert answer.sentence == (
        "Query to last step: 2 → 1 of 4 pixels differ from the written "
        "image, no. 1, which is the nearest one at the end."
    )


def test_a_reading_says_when_it_ends_at_another_image():
    model = StandIn(images=[[1, 1, 1, 0]])
    query = np.array(LEFT, "float32").reshape(1, 2, 2, 1)
    answer = answers.reading(model, query, WRITTEN, 1, np.array([0]))
    assert captions(answer.pictures) == ["2 px", "3 px", "no. 2"]
    assert "but no. 2 is the nearest one at the end" in answer.sentence


def test_a_drawing_is_compared_with_the_nearest_image():
    model = StandIn(images=[WHITE])
    query = np.array([1, 1, 1, 0], "float32").reshape(1, 2, 2, 1)
    answer = answers.reading(model, query, WRITTEN, 1)
    assert captions(answer.pictures) == ["1 px", "0 px", "no. 2"]
    assert answer.sentence.endswith("from the nearest written image, no. 2.")


def test_several_queries_are_averaged():
    model = StandIn(images=[BLACK, [1, 0, 0, 0]], binary=False)
    queries = np.array([BLACK, LEFT], "float32").reshape(2, 2, 2, 1)
    answer = answers.reading(model, queries, WRITTEN, 1, np.array([0, 1]))
    # Black from black, then one of four pixels from white: sqrt(3 / 4).
    assert captions(answer.pictures) == [
        *("rms 0.000", "rms 0.000", "no. 1"),
        *("rms 0.707", "rms 0.866", "no. 1"),
    ]
    assert "mean of 2" in answer.sentence
    assert "0.354 → 0.433" in answer.sentence
    assert "for 1 of 2 it is the nearest" in answer.sentence


def test_a_draw_is_compared_with_the_nearest_image():
    model = StandIn(images=[LEFT, BLACK, WHITE, BLACK])
    answer = answers.generation(model, WRITTEN, 2, 2, 7)
    assert captions(answer.pictures) == [
        *("", "", "no. 2, 0 px"),
        *("", "", "no. 1, 0 px"),
    ]
    assert "2 drawn with seed 7" in answer.sentence


@pytest.mark.parametrize(
    "value", [None, "3", 1.5, float("nan"), float("inf"), 0, 17, -1, 1e30]
)
def test_a_number_out_of_bounds_is_a_mistake(value):
    with pytest.raises(UserError, match="steps to be a whole number from 1 to"):
        answers.whole_number("the number of steps", value, 1, 16)


def test_a_whole_number_passes():
    assert answers.whole_number("n", 3.0, 1, 16) == 3


@pytest.mark.parametrize(
    ("picked", "sentence"),
    [
        ([], "No image is picked"),
        (None, "No image is picked"),
        ("all", "No image is picked"),
        ([10], "pick them again"),
        ([-1], "pick them again"),
        ([True], "pick them again"),
        (["1"], "pick them again"),
        ([0, 1, 2, 3], "Expected at most 3 images, 4 are picked"),
    ],
)
def test_a_wrong_pick_is_a_mistake(pool, picked, sentence):
    with pytest.raises(UserError, match=sentence):
        answers.chosen(pool, picked, 3)


def test_picks_come_once_and_in_order(pool):
    assert answers.chosen(pool, [4, 1, 4], 3).tolist() == [1, 4]


def test_write_then_read_then_generate(model, pool):
    events = DemoEvents(model)
    said, rows, written, queries, *old = events.write(pool, [3, 1])
    assert "2 images written (128 pixel values); the memory holds 40" in said
    assert "4 rows of 10 numbers" in rows
    np.testing.assert_array_equal(written.images, pool[[1, 3]])
    assert queries.value == [0] and len(queries.props["images"]) == 2
    assert old == ["", "", "", ""]
    said, pictures = events.read(written, False, [1], "block", 3, 0, None, 4)
    assert pictures.count("<img") == 1 + 4 + 1
    assert "of 64 pixels differ from the written image, no. 2" in said
    drawing = data_url(rgba(np.full((8, 8), 255)))
    said, drawn = events.read(written, True, [], "none", 0, 0, drawing, 4)
    assert "from the nearest written image" in said
    assert drawn != pictures
    said, pictures = events.generate(written, 3, 2, 0)
    assert pictures.count("<img") == 3 * (2 + 1)
    assert events.generate(written, 3, 2, 0)[1] == pictures
    assert events.generate(written, 3, 2, 1)[1] != pictures


def test_mistakes_become_sentences(model, pool):
    events = DemoEvents(model)
    written = model.write(pool)
    unwritten = "Nothing is written yet: pick images in part 1 and write"
    assert is_mistake(events.write(pool, []), "No image is picked")
    read = (False, [0], "none", 0, 0, None, 1)
    assert is_mistake(events.read(None, *read), unwritten)
    drawing = data_url(rgba(np.full((8, 8), 255)))
    read = (True, [], "none", 0, 0, drawing, 1)
    assert is_mistake(events.read(None, *read), unwritten)
    assert is_mistake(events.generate(None, 1, 1, 0), unwritten)
    wrong = {
        "No image is picked": (False, [], "none", 0, 0, None, 1),
        "Nothing is drawn": (True, [0], "none", 0, 0, None, 1),
        "Expected the seed": (False, [0], "rotate", 0, None, None, 1),
        "Expected a block size": (False, [0], "block", 99, 0, None, 1),
        "Expected the number of steps": (False, [0], "none", 0, 0, None, 17),
    }
    for sentence, arguments in wrong.items():
        assert is_mistake(events.read(written, *arguments), sentence)
    assert is_mistake(events.generate(written, 99, 1, 0), "of samples")
    assert is_mistake(events.generate(written, 1, 1, 2**31), "the seed")
    assert is_mistake(events.add_files(pool, [], None, False), "Choose one")
    assert is_mistake(events.add_drawing(pool, [], ""), "Nothing is drawn")


def test_added_images_are_picked(model, pool, tmp_path):
    events = DemoEvents(model)
    path = tmp_path / "white.png"
    path.write_bytes(png(rgba(np.full((8, 8), 255))))
    said, more, shown = events.add_files(pool, [2], [str(path)] * 2, False)
    assert "2 images added and picked" in said
    assert shown.value == [2, 10, 11] and len(shown.props["images"]) == 12
    assert more.shape == (12, *SHAPE) and more[10:].all()
    drawing = data_url(rgba(np.full((8, 8), 255)))
    said, more, shown, pad = events.add_drawing(more, None, drawing)
    assert "1 image added" in said and pad == ""
    assert shown.value == [12] and more[12].all()


def test_a_page_does_not_grow_for_ever(model):
    full = np.zeros((answers.MAX_IMAGES, *SHAPE), "float32")
    drawing = data_url(rgba(np.full((8, 8), 255)))
    found = DemoEvents(model).add_drawing(full, [], drawing)
    assert is_mistake(found, "at most 256 images on the page")


def test_the_level_follows_the_corruption(model):
    events = DemoEvents(model)
    found = events.level("block")
    assert (found["maximum"], found["visible"]) == (8.0, True)
    assert "pixels" in found["label"]
    assert events.level("none") == gr.update(visible=False)


def test_the_page_of_a_model_without_a_memory(without_memory, pool):
    model = without_memory
    assert not model.has_memory and model.binary
    events = DemoEvents(model)
    said, rows, given, *_ = events.write(pool, [0, 1, 2])
    assert "3 images taken; nothing is written" in said and rows == ""
    assert given.num_numbers == 0 and given.rows is None
    read = (False, [1], "salt_and_pepper", 0.2, 0, None, 2)
    assert "from the given image, no. 2" in events.read(given, *read)[0]
    assert is_mistake(events.read(None, *read), "Nothing is taken yet")
    drawing = data_url(rgba(np.full((8, 8), 255)))
    read = (True, [], "none", 0, 0, drawing, 2)
    assert events.read(None, *read)[1].count("<img") == 1 + 2
    said, pictures = events.generate(given, 2, 3, 0)
    assert ("has no prior" in said) != model.has_prior
    if model.has_prior:
        assert pictures.count("<img") == 2 * (3 + 1)
        assert events.generate(None, 2, 3, 0)[1].count("<img") == 2 * 3


def page_of(model):
    """A model's page and the text on it."""

    async def build():
        return build_page(model)

    # Where no event loop runs, Gradio makes some that nobody closes.
    page = asyncio.run(build())
    assert not page.analytics_enabled
    html = " ".join(
        str(block.value)
        for block in page.blocks.values()
        if isinstance(block, gr.HTML)
    )
    return page, text_of(html)


def test_the_page_shows_what_a_model_has(model, without_memory):
    _, text = page_of(model)
    assert "small GPM of kgpm" in " ".join(text.split())
    assert "no memory" not in text and "no prior" not in text
    _, text = page_of(without_memory)
    assert "This model has no memory" in text
    assert ("no prior to draw from" in text) != without_memory.has_prior


def test_nothing_can_be_called_past_the_page(model):
    page, _ = page_of(model)
    assert page.get_api_info()["named_endpoints"] == {}
