"""Finished runs side by side, on the same images."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple

from kgpm import data
from kgpm.cli import flags
from kgpm.cli.stored_run import open_run
from kgpm.errors import UserError
from kgpm.files import atomic_path
from kgpm.training.stored_model import load_model


class ComparedRun(NamedTuple):
    """A run and what it is called in figures, the name of its directory."""

    name: str
    model: Any


def open_runs(
    values: flags.FlagValues,
) -> tuple[list[ComparedRun], data.ImageSet]:
    """The run of `--model_dir` and those of `--runs`, and its images.

    Raises:
        UserError: no such run, or one of other images than the first.
    """
    model, images = open_run(values)
    runs = [ComparedRun(Path(values.model_dir).name, model)]
    for folder in values.runs or ():
        other = load_model(folder, values.checkpoint)
        if tuple(other.image_shape) != tuple(model.image_shape):
            raise UserError(
                f"Expected --runs of images like those of {values.model_dir}, "
                f"{list(model.image_shape)}, received {folder} of "
                f"{list(other.image_shape)}."
            )
        images.check_pixels(other.likelihood)
        runs.append(ComparedRun(Path(folder).name, other))
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise UserError(
            "Expected --model_dir and --runs to end in different names, which "
            f"a figure shows, received {', '.join(names)}."
        )
    return runs, images


def write_rows(header: Sequence[str], rows: Sequence[Any], path: Path) -> None:
    """Writes a CSV file in one step."""
    with atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)


def markdown_table(header: Sequence[str], rows: Sequence[Any]) -> str:
    """Rows of text as a table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in lines)
