"""From arrays to pictures: sheets of images and plots of lines, as PNG.

Drawn with matplotlib's Agg canvas through its objects, without pyplot, so that
nothing global changes and no display is needed.
"""

import math
import os
from collections.abc import Collection
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kgpm.errors import UserError
from kgpm.files import atomic_path
from kgpm.pictures.bar_panel import BarPanel
from kgpm.pictures.line_panel import Panel

_DPI = 100
_FONT_SIZE = 9
_GAP = 6
_WIDE_GAP = 14
_MARGIN = 8
# An image is enlarged by the integer factor that makes it at least this high.
_CELL_PIXELS = 72
_BACKGROUND = 255
_HAIRLINE = (176, 176, 176)
_HIGHLIGHT = (0, 114, 178)


def draw_sheet(
    rows: Sequence[Sequence[Any]],
    *,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    title: str | None = None,
    highlight: Collection[int] = (),
    wide_gaps: Collection[int] = (),
) -> np.ndarray:
    """Draws a grid of images, each pixel enlarged to a square block.

    Args:
        rows: one sequence per row of images `[H, W, 1]`, `[H, W, 3]` or
            `[H, W]` with values in [0, 1], or `None` for an empty cell; all
            of one size. A row may be shorter than the others.
        row_labels: text at the left of each row.
        column_labels: text above each column; a newline breaks the line.
        title: text above everything.
        highlight: columns whose images get a frame.
        wide_gaps: columns that keep a wider distance from the one before.

    Returns:
        `uint8 [height, width, 3]`. The block of pixel (i, j) of an image has
        the height and width `enlargement(H)`.

    Raises:
        UserError: if there is no image, or sizes or labels do not fit.
    """
    cells = [[_as_rgb(image) for image in row] for row in rows]
    images = [image for row in cells for image in row if image is not None]
    sizes = {image.shape for image in images}
    if len(sizes) != 1:
        raise UserError(
            "a sheet expected images of one size, received "
            f"{sorted(sizes) or 'none'}; draw each size on its own sheet."
        )
    num_columns = max(len(row) for row in cells)
    _check_labels("row_labels", row_labels, len(cells))
    _check_labels("column_labels", column_labels, num_columns)
    height, width, _ = sizes.pop()
    scale = enlargement(height)
    height, width = height * scale, width * scale
    texts = _text_sizes(row_labels, column_labels, title)
    left = _MARGIN + texts["row"]
    title_height = texts["title"]
    top = _MARGIN + title_height + texts["column"]
    column_lefts = []
    position = left
    for column in range(num_columns):
        if column:
            position += _WIDE_GAP if column in wide_gaps else _GAP
        column_lefts.append(position)
        position += width
    total_width = max(position, texts["title_width"] + _MARGIN) + _MARGIN
    total_height = top + len(cells) * (height + _GAP) - _GAP + _MARGIN
    canvas = np.full((total_height, total_width, 3), _BACKGROUND, np.uint8)
    for index, row in enumerate(cells):
        y = top + index * (height + _GAP)
        for column, image in enumerate(row):
            if image is None:
                continue
            x = column_lefts[column]
            # Without a frame, white borders of an image vanish in the gap.
            width_of_frame = 2 if column in highlight else 1
            _frame(canvas, y, x, (height, width), width_of_frame)
            block = image.repeat(scale, axis=0).repeat(scale, axis=1)
            canvas[y : y + height, x : x + width] = block
    labels = []
    for index, text in enumerate(row_labels or ()):
        middle = top + index * (height + _GAP) + height / 2
        labels.append((left - 6, middle, text, "right", "center"))
    for index, text in enumerate(column_labels or ()):
        middle = column_lefts[index] + width / 2
        labels.append((middle, top - 4, text, "center", "bottom"))
    if title:
        labels.append((_MARGIN, _MARGIN, title, "left", "top"))
    return _write_text(canvas, labels)


def sheet(
    rows: Sequence[Sequence[Any]],
    path: str | os.PathLike,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    **options: Any,
) -> None:
    """Draws a grid of images (see `draw_sheet`) into a PNG file."""
    save_png(
        draw_sheet(
            rows, row_labels=row_labels, column_labels=column_labels, **options
        ),
        path,
    )


def line_plot(
    panels: Sequence[Panel | BarPanel], path: str | os.PathLike
) -> None:
    """Draws `panels` side by side into a PNG file, at most three in a row."""
    rows = math.ceil(len(panels) / 3)
    columns = math.ceil(len(panels) / rows)
    figure = Figure(
        figsize=(5.2 * columns, 3.9 * rows), dpi=_DPI, layout="constrained"
    )
    FigureCanvasAgg(figure)
    for index, panel in enumerate(panels):
        panel.draw(figure.add_subplot(rows, columns, index + 1))
    with _png(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def save_png(image: np.ndarray, path: str | os.PathLike) -> None:
    """Writes `uint8 [height, width, 3]` as PNG, at once or not at all."""
    with _png(path) as temporary:
        matplotlib.image.imsave(temporary, image, format="png")


def enlargement(height: int) -> int:
    """The integer factor by which a sheet enlarges images of this height."""
    return max(1, math.ceil(_CELL_PIXELS / height))


def _frame(
    canvas: np.ndarray, y: int, x: int, size: tuple, thickness: int
) -> None:
    """Fills the place of an image and `thickness` pixels around it."""
    bottom, right = y + size[0] + thickness, x + size[1] + thickness
    colour = _HIGHLIGHT if thickness > 1 else _HAIRLINE
    canvas[y - thickness : bottom, x - thickness : right] = colour


def _png(path: str | os.PathLike) -> AbstractContextManager[Path]:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return atomic_path(path)


def _as_rgb(image: Any) -> np.ndarray | None:
    if image is None:
        return None
    image = np.asarray(image, "float32")
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise UserError(
            "a sheet expected images of shape [H, W], [H, W, 1] or "
            f"[H, W, 3], received {image.shape}; pass grey or RGB images."
        )
    values = np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    return np.broadcast_to(values, (*values.shape[:2], 3))


def _check_labels(
    name: str, labels: Sequence[str] | None, expected: int
) -> None:
    if labels is not None and len(labels) != expected:
        raise UserError(
            f"a sheet expected {expected} {name}, received {len(labels)}; "
            "pass one for each."
        )


def _text_sizes(
    row_labels: Sequence[str] | None,
    column_labels: Sequence[str] | None,
    title: str | None,
) -> dict[str, int]:
    """How many pixels the labels take, each with its distance."""
    figure = Figure(dpi=_DPI)
    canvas = FigureCanvasAgg(figure)

    def extent(text: str, size: int) -> tuple[int, int]:
        label = figure.text(0, 0, text, fontsize=size)
        box = label.get_window_extent(canvas.get_renderer())
        return math.ceil(box.width), math.ceil(box.height)

    rows = [extent(text, _FONT_SIZE)[0] for text in row_labels or ()]
    columns = [extent(text, _FONT_SIZE)[1] for text in column_labels or ()]
    title_width, title_height = extent(title or "", _FONT_SIZE + 1)
    return {
        "row": max(rows) + 8 if rows else 0,
        "column": max(columns) + 6 if columns else 0,
        "title": title_height + 8 if title else 0,
        "title_width": title_width,
    }


def _write_text(canvas: np.ndarray, labels: Sequence[tuple]) -> np.ndarray:
    """Puts texts at pixel positions (from the top left) onto a canvas."""
    if not labels:
        return canvas
    height, width, _ = canvas.shape
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    agg = FigureCanvasAgg(figure)
    for x, y, text, horizontal, vertical in labels:
        figure.text(
            x / width,
            1 - y / height,
            text,
            fontsize=_FONT_SIZE + (vertical == "top"),
            ha=horizontal,
            va=vertical,
        )
    figure.patch.set_visible(False)
    agg.draw()
    # The size of the canvas is rounded, so it may differ by one pixel.
    text = np.asarray(agg.buffer_rgba())[:height, :width]
    # Little of a sheet is text: only there colours are mixed.
    inked = np.nonzero(text[..., 3])
    ink = text[inked][:, 3:].astype("float32") / 255
    mixed = canvas[inked] * (1 - ink) + text[inked][:, :3] * ink
    canvas[inked] = np.rint(mixed).astype(np.uint8)
    return canvas
