"""What the page answers to a user: pictures and a sentence, or a mistake.

Pure functions of what a user has picked and written, so that users do not see
each other and each answer can be had without a page.
"""

from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

import numpy as np

from kgpm.errors import UserError
from kgpm.pictures.image_rows import image_errors
from kgpm.pictures.image_rows import nearest
from kgpm.serving.demo import html
from kgpm.serving.demo.html import Cell
from kgpm.serving.demo.model import DemoModel
from kgpm.serving.demo.model import Written

MAX_IMAGES = 256
MAX_QUERIES = 8
MAX_SAMPLES = 12
MAX_STEPS = 16
MAX_SEED = 2**31 - 1


class Answer(NamedTuple):
    """An answer of the page.

    Attributes:
        sentence: what happened.
        pictures: HTML.
    """

    sentence: str
    pictures: str


def chosen(images: np.ndarray, picked: Any, most: int) -> np.ndarray:
    """The images that are picked, in the order of the page.

    Args:
        images: `[N, H, W, C]`.
        picked: their indices, as the browser sent them.
        most: how many may be picked.

    Returns:
        Indices `[T]`.

    Raises:
        UserError: none is picked, too many, or one that is not there.
    """
    if not isinstance(picked, list) or not picked:
        raise UserError("No image is picked: click on one or more first.")
    if not all(
        type(index) is int and 0 <= index < len(images) for index in picked
    ):
        raise UserError("Expected images of this page: pick them again.")
    indices = np.unique(picked)
    if len(indices) > most:
        raise UserError(
            f"Expected at most {most} images, {len(indices)} are picked."
        )
    return indices


def whole_number(name: str, value: Any, lowest: int, highest: int) -> int:
    """A whole number that a user typed.

    Raises:
        UserError: it is missing, broken or out of bounds.
    """
    right = isinstance(value, (int, float)) and float(value).is_integer()
    if not right or not lowest <= value <= highest:
        raise UserError(
            f"Expected {name} to be a whole number from {lowest:,} to "
            f"{highest:,}."
        )
    return int(value)


def told_of_writing(model: DemoModel, written: Written) -> Answer:
    """What was written, and how large the memory is.

    Args:
        model: that wrote it.
        written: by one user.
    """
    number = len(written.images)
    images = f"{number} image{'' if number == 1 else 's'}"
    if not model.has_memory:
        return Answer(f"{images} taken; nothing is written.", "")
    return Answer(
        f"{images} written ({written.images.size:,} pixel values); the "
        f"memory holds {written.num_numbers:,} numbers.",
        html.memory_rows(written.rows),
    )


def reading(
    model: DemoModel,
    queries: np.ndarray,
    written: Written | None,
    steps: int,
    asked_for: np.ndarray | None = None,
) -> Answer:
    """Reads queries again and again: a row of steps for each.

    Args:
        model: that reads.
        queries: `[Q, H, W, C]`.
        written: what to read from.
        steps: how many reads.
        asked_for: indices `[Q]` of the written images that the queries are
            of, where that is known.

    Raises:
        UserError: nothing is written, or too many steps.
    """
    steps = whole_number("the number of steps", steps, 1, MAX_STEPS)
    reads = model.read(queries, written, steps)
    frames = np.concatenate([queries[np.newaxis], reads])
    names = ["query", *(f"step {step}" for step in range(1, steps + 1))]
    if written is None:
        return Answer(
            "Nothing is taken in part 2 to compare with.",
            html.grid(_columns(names, frames)),
        )
    binary = model.binary
    found, _ = nearest(reads[-1], written.images, binary=binary)
    targets = written.images[found if asked_for is None else asked_for]
    errors = image_errors(frames, targets, binary=binary)
    captions = [[_distance(e, binary) for e in step] for step in errors]
    columns = _columns(names, frames, captions)
    columns[f"nearest {_noun(model)}"] = [
        Cell(written.images[index], f"no. {index + 1}") for index in found
    ]
    return Answer(
        _told_of_reading(model, errors, found, asked_for),
        html.grid(columns, last_apart=True),
    )


def generation(
    model: DemoModel,
    written: Written | None,
    num_samples: int,
    steps: int,
    seed: int,
) -> Answer:
    """Draws images and reads them again: a row of steps for each.

    Args:
        model: that draws.
        written: what to draw from.
        num_samples: how many images.
        steps: the draw and its reads.
        seed: of the draws.

    Raises:
        UserError: nothing is written, or a number out of bounds.
    """
    seed = whole_number("the seed", seed, 0, MAX_SEED)
    images = model.generate(
        written,
        whole_number("the number of samples", num_samples, 1, MAX_SAMPLES),
        whole_number("the number of steps", steps, 1, MAX_STEPS),
        seed,
    )
    number = images.shape[1]
    names = ["draw", *(f"step {step}" for step in range(2, len(images) + 1))]
    columns = _columns(names, images)
    if written is None:
        text = f"{number} drawn from the prior, seed {seed}."
        return Answer(text, html.grid(columns))
    binary, noun = model.binary, _noun(model)
    found = zip(
        *nearest(images[-1], written.images, binary=binary), strict=True
    )
    columns[f"nearest {noun}"] = [
        Cell(written.images[i], f"no. {i + 1}, {_distance(error, binary)}")
        for i, error in found
    ]
    return Answer(
        f"{number} drawn with seed {seed}; below the nearest {noun} image, how "
        "far the last step is from it.",
        html.grid(columns, last_apart=True),
    )


def _columns(
    names: Iterable[str], frames: np.ndarray, captions: Any = None
) -> dict[str, list[Cell]]:
    """Images `[S, Q, H, W, C]` in columns, with texts `[S, Q]` below them."""
    if captions is None:
        captions = np.full(frames.shape[:2], "")
    return {
        name: [Cell(*cell) for cell in zip(images, below, strict=True)]
        for name, images, below in zip(names, frames, captions, strict=True)
    }


def _told_of_reading(
    model: DemoModel,
    errors: np.ndarray,
    found: np.ndarray,
    asked_for: np.ndarray | None,
) -> str:
    """The sentence below a reading; errors are `[1 + steps, Q]`."""
    first, last = errors[0].mean(), errors[-1].mean()
    if model.binary:
        pixels = int(np.prod(model.image_shape))
        change = f"{first:.0f} → {last:.0f} of {pixels:,} pixels differ"
    else:
        change = f"root mean square difference {first:.3f} → {last:.3f}"
    noun, number = _noun(model), len(found)
    if asked_for is None:
        nearest_one = f"the nearest {noun} image, no. {found[0] + 1}"
        return f"Query to last step: {change} from {nearest_one}."
    right = int((found == asked_for).sum())
    if number > 1:
        return (
            f"Query to last step, mean of {number}: {change} from the {noun} "
            f"image; for {right} of {number} it is the nearest one at the end."
        )
    outcome = "which is the nearest one at the end"
    if not right:
        outcome = f"but no. {found[0] + 1} is the nearest one at the end"
    return (
        f"Query to last step: {change} from the {noun} image, no. "
        f"{asked_for[0] + 1}, {outcome}."
    )


def _distance(error: float, binary: bool) -> str:
    return f"{error:.0f} px" if binary else f"rms {error:.3f}"


def _noun(model: DemoModel) -> str:
    return "written" if model.has_memory else "given"
