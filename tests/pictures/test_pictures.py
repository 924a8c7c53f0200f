import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from kgpm.errors import UserError
from kgpm.pictures import drawing
from kgpm.pictures import image_rows
from kgpm.pictures.bar_panel import BarPanel
from kgpm.pictures.line_panel import COLOURS
from kgpm.pictures.line_panel import Panel

HIGHLIGHT = (0, 114, 178)


def read(path):
    """A PNG file as `uint8 [height, width, 3]`."""
    values = matplotlib.image.imread(path)
    return np.rint(values[..., :3] * 255).astype(np.uint8)


def blocks(picture, image):
    """The places (top left) where an enlarged image stands, exactly."""
    scale = drawing.enlargement(image.shape[0])
    values = np.rint(image * 255).astype(np.uint8)
    block = np.broadcast_to(
        values.repeat(scale, 0).repeat(scale, 1),
        (image.shape[0] * scale, image.shape[1] * scale, 3),
    )
    height, width, _ = block.shape
    found = []
    corner = (picture == block[0, 0]).all(-1)
    for y, x in np.argwhere(corner[: 1 - height, : 1 - width]):
        if (picture[y : y + height, x : x + width] == block).all():
            found.append((int(y), int(x)))
    return found


@pytest.mark.parametrize("channels", [1, 3])
def test_sheet_shows_every_image_in_its_place(tmp_path, channels):
    rng = np.random.default_rng(0)
    images = rng.random((2, 3, 8, 8, channels))
    path = tmp_path / "new" / "sheet.png"
    drawing.sheet(
        images,
        path,
        row_labels=["first", "second"],
        column_labels=["a", "b", "two\nlines"],
        title="a title",
        highlight=[2],
        wide_gaps=[2],
    )
    picture = read(path)
    places = np.empty((2, 3, 2), int)
    for row in range(2):
        for column in range(3):
            found = blocks(picture, images[row, column])
            assert len(found) == 1
            places[row, column] = found[0]
    # Rows stand under each other, columns beside each other.
    assert (places[0, :, 0] == places[0, 0, 0]).all()
    assert (places[:, 1, 1] == places[0, 1, 1]).all()
    steps = np.diff(places[0, :, 1])
    cell = 8 * drawing.enlargement(8)
    assert cell < steps[0] < steps[1]
    y, x = places[0, 2]
    assert tuple(picture[y - 1, x + 5]) == HIGHLIGHT
    assert tuple(picture[places[0, 0, 0] - 1, places[0, 0, 1] + 5]) != HIGHLIGHT
    # There is ink of the labels at the left, and above.
    assert (picture[y : y + cell, : places[0, 0, 1] - 4] < 128).any()
    assert (picture[: y - 2, x : x + cell] < 128).any()
    assert [file.name for file in path.parent.iterdir()] == ["sheet.png"]


def test_sheet_without_labels_has_thin_margins():
    drawn = drawing.draw_sheet([[np.zeros((28, 28)), np.ones((28, 28))]])
    assert drawn.dtype == np.uint8
    scale = drawing.enlargement(28)
    assert drawn.shape == (28 * scale + 16, 2 * 28 * scale + 16 + 6, 3)


def test_empty_cells_and_short_rows_stay_white():
    image = np.zeros((8, 8, 1))
    drawn = drawing.draw_sheet([[None, image], [image]])
    side = 8 * drawing.enlargement(8)
    assert (drawn[8 : 8 + side, 8 : 8 + side] == 255).all()
    assert (drawn[8 : 8 + side, 14 + side : 14 + 2 * side] == 0).all()
    assert (drawn[14 + side : 14 + 2 * side, 14 + side :] == 255).all()


def test_values_outside_of_the_range_are_clipped():
    drawn = drawing.draw_sheet([[np.full((4, 4), 1.7), np.full((4, 4), -1.0)]])
    assert drawn.min() == 0 and drawn.max() == 255


def test_images_are_large_enough_to_see():
    for height in (8, 28, 32, 64, 100):
        assert height * drawing.enlargement(height) >= 72


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "one size"),
        ([[np.zeros((4, 4)), np.zeros((5, 5))]], {}, "one size"),
        ([[np.zeros((4, 4, 2))]], {}, "shape"),
        ([[np.zeros((4, 4))]], {"row_labels": ["a", "b"]}, "1 row_labels"),
        ([[np.zeros((4, 4))]], {"column_labels": []}, "1 column_labels"),
    ],
)
def test_what_is_no_sheet_is_refused(rows, options, message):
    with pytest.raises(UserError, match=message):
        drawing.draw_sheet(rows, **options)


def test_line_plot_draws_its_lines_and_leaves_no_state(tmp_path):
    path = tmp_path / "lines.png"
    x = np.arange(4)
    drawing.line_plot(
        [
            Panel(x, "read", "energy (nats)", curves={"mean": x}),
            Panel(
                x,
                "read",
                "error",
                title="errors",
                curves={"read": (x, x / 10)},
                thin=np.stack([x, x + 1]),
                thin_label="one image",
                levels={"no memory": 2.5},
            ),
        ],
        path,
    )
    picture = read(path)
    left, right = np.array_split(picture, 2, axis=1)
    colour = np.array(HIGHLIGHT)
    for half in (left, right):
        assert (np.abs(half - colour.astype(int)).sum(-1) < 30).any()
    orange = np.array([213, 94, 0])
    assert (np.abs(right - orange).sum(-1) < 30).any()
    assert not (np.abs(left - orange).sum(-1) < 30).any()


def test_panel_labels_its_axes():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    Panel(
        np.arange(3),
        "read",
        "energy (nats)",
        title="a title",
        curves={"mean": (np.arange(3), np.ones(3))},
        thin=np.ones((5, 3)),
        thin_label="one image",
        levels={"no memory": 2.5},
    ).draw(axes)
    assert axes.get_xlabel() == "read"
    assert axes.get_ylabel() == "energy (nats)"
    assert axes.get_title() == "a title"
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(names) == ["mean", "no memory", "one image"]


def test_a_curve_keeps_the_colour_it_was_given():
    axes = Figure().add_subplot()
    x = np.arange(3)
    Panel(
        x,
        "step",
        "NMSE",
        curves={"first": x, "memory": x + 1, "last": x + 2},
        colours={"memory": "#009E73", "elsewhere": "#000000"},
    ).draw(axes)
    drawn = [line.get_color() for line in axes.get_lines()]
    assert drawn == [COLOURS[0], "#009E73", COLOURS[1]]


def test_generation_boxes_the_nearest_written_image():
    rng = np.random.default_rng(0)
    written = rng.integers(0, 2, (5, 6, 6, 1)).astype("float32")
    steps = np.zeros((3, 2, 6, 6, 1), "float32")
    steps[-1] = written[[4, 2]]
    # One pixel away.
    steps[-1, 1, 0, 0] = 1 - steps[-1, 1, 0, 0]
    layout = image_rows.generation(steps, written, binary=True)
    assert layout["row_labels"] == ["0 px", "1 px"]
    np.testing.assert_array_equal(layout["rows"][0][-1], written[4])
    np.testing.assert_array_equal(layout["rows"][1][-1], written[2])
    np.testing.assert_array_equal(layout["rows"][1][2], steps[2, 1])
    assert list(layout["highlight"]) == [3]
    drawing.draw_sheet(**layout)


def test_nearest_is_euclidean_for_grey_images():
    rng = np.random.default_rng(0)
    images, written = rng.random((4, 5, 5, 3)), rng.random((7, 5, 5, 3))
    index, distance = image_rows.nearest(images, written, binary=False)
    flat = images.reshape(4, -1), written.reshape(7, -1)
    norms = np.linalg.norm(flat[0][:, None] - flat[1], axis=-1)
    np.testing.assert_array_equal(index, norms.argmin(1))
    np.testing.assert_allclose(distance, norms.min(1) / np.sqrt(75))


def test_denoising_and_reconstruction_layouts():
    clean = np.arange(3.0).reshape(3, 1, 1, 1) * np.ones((1, 2, 2, 1))
    layout = image_rows.denoising(clean, clean + 10, np.stack([clean + 20] * 2))
    assert layout["column_labels"] == ["clean", "query", "read 1", "read 2"]
    assert [image[0, 0, 0] for image in layout["rows"][1]] == [1, 11, 21, 21]
    layout = image_rows.reconstructions(clean, clean + 10, per_row=2)
    values = [[image[0, 0, 0] for image in row] for row in layout["rows"]]
    assert values == [[0, 1], [10, 11], [2], [12]]
    assert layout["row_labels"] == ["image", "read"] * 2


def test_bars_are_as_long_as_their_values(tmp_path):
    figure = Figure()
    axes = figure.add_subplot()
    BarPanel({"one": 0.25, "other": (0.5, 0.1)}, "NMSE").draw(axes)
    bars = sorted(axes.patches, key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in bars] == [0.25, 0.5]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["one", "other"] and axes.get_xlabel() == "NMSE"
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["0.2500", "0.5000"]
    path = tmp_path / "bars.png"
    drawing.line_plot([BarPanel({"one": 0.25}, "NMSE")], path)
    assert read(path).std() > 0.0


def test_bars_over_decades_begin_below_the_least(tmp_path):
    axes = Figure().add_subplot()
    bars = {"one": 0.042, "other": (1.9, 0.1)}
    BarPanel(bars, "NMSE", log_x=True).draw(axes)
    assert axes.get_xscale() == "log"
    low, high = axes.get_xlim()
    assert low == pytest.approx(0.01)
    assert high > 2.0


def test_many_panels_take_two_rows(tmp_path):
    panel = BarPanel({"one": 0.25}, "NMSE")
    shapes = {}
    for count in (1, 3, 4):
        path = tmp_path / f"{count}.png"
        drawing.line_plot([panel] * count, path)
        shapes[count] = read(path).shape[:2]
    (height, width), (_, wide) = shapes[1], shapes[3]
    assert wide == 3 * width
    assert shapes[4] == (2 * height, 2 * width)
