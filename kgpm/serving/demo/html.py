"""Images as HTML: each pixel a crisp square, nothing left on the disk."""

import base64
import html
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Width in CSS pixels of a column: an image of 84 and the gap around it.
_COLUMN = 90


class Cell(NamedTuple):
    """An image of a grid.

    Attributes:
        image: `[H, W, C]` in [0, 1].
        caption: the text below it.
    """

    image: np.ndarray
    caption: str = ""


def data_url(image: Any) -> str:
    """An image as a PNG inside a URL.

    Args:
        image: `[H, W, 1 or 3]`; values outside of [0, 1] are clipped.
    """
    # What a model that diverged returns is shown as black.
    finite = np.nan_to_num(np.asarray(image, "float32"))
    values = np.rint(np.clip(finite, 0.0, 1.0) * 255)
    png = tf.io.encode_png(values.astype(np.uint8)).numpy()
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def grid(
    columns: Mapping[str, Sequence[Cell]], *, last_apart: bool = False
) -> str:
    """Columns of images below their names.

    Args:
        columns: as many cells in each.
        last_apart: whether the last column stands apart from the others.

    Returns:
        HTML.
    """
    header = [html.escape(name) for name in columns]
    lines = [_row(f"<th scope='col'>{name}</th>" for name in header)]
    for row in zip(*columns.values(), strict=True):
        lines.append(
            _row(
                f"<td>{_picture(cell.image, name)}"
                f"<span>{html.escape(cell.caption)}</span></td>"
                for name, cell in zip(header, row, strict=True)
            )
        )
    kind = "kgpm-grid kgpm-apart" if last_apart else "kgpm-grid"
    # Many columns become narrow instead of leaving the page.
    style = f"max-width: {_COLUMN * len(header)}px"
    return f"<table class='{kind}' style='{style}'>{''.join(lines)}</table>"


def memory_rows(rows: np.ndarray | None) -> str:
    """A memory's rows as one picture, black the least and white the most.

    Args:
        rows: `[K, C]`.

    Returns:
        HTML that opens on a click; empty where there are no rows.
    """
    if rows is None:
        return ""
    low, high = float(rows.min()), float(rows.max())
    shades = (rows - low) / max(high - low, 1e-12)
    picture = _picture(shades[..., np.newaxis], "rows of the memory")
    number, size = rows.shape
    return (
        "<details class='kgpm-rows'><summary>Rows of the memory: "
        f"{number} rows of {size} numbers, black {low:.2f}, white {high:.2f}"
        f"</summary>{picture}</details>"
    )


def sentence(text: str, *, mistake: bool = False) -> str:
    """A sentence that tells a user what happened.

    Args:
        text: any text.
        mistake: whether it says what went wrong.
    """
    if not text:
        return ""
    kind, role = ("kgpm-mistake", "alert") if mistake else ("", "status")
    return f"<p class='kgpm-said {kind}' role='{role}'>{html.escape(text)}</p>"


def title(name: str, description: str) -> str:
    """The heading of the page."""
    return f"<h1>{html.escape(name)}</h1><p>{html.escape(description)}</p>"


def heading(number: int, title: str, text: str) -> str:
    """The heading of a part of the page."""
    return (
        f"<h2><b>{number}</b> {html.escape(title)}</h2>"
        f"<p>{html.escape(text)}</p>"
    )


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _picture(image: np.ndarray, text: str) -> str:
    return f"<img src='{data_url(image)}' alt='{text}'>"
