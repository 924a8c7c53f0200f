"""Bounds against the size of the memory and its classes: the (C, M) table.

Every cell scores the same target images of a run's split, each with a memory
of its own that holds M other images of C classes, its own class among them.
Where C is above 1 there is a second row of "up to" C classes, as the published
implementation samples: for C = 2 half of its memories hold one class alone.
Works for the run of any model with a memory that images are written to.
"""

import csv
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kgpm import data
from kgpm import ops
from kgpm.cli import flags
from kgpm.cli.stored_run import open_run
from kgpm.errors import UserError
from kgpm.evaluation.importance_weights import importance_weighted_bounds
from kgpm.evaluation.summary import mean_and_standard_error
from kgpm.files import atomic_path
from kgpm.files import write_text
from kgpm.pictures import drawing
from kgpm.pictures.line_panel import Panel

_SIZES = (1, 2, 3, 4, 5, 10, 19)
# Negative bounds of 1,000 samples in nats, 26 x 26 pixels: the readme of
# A. Zholus's implementation and, as cited there, Bornschein et al. 2017,
# table 1. Zholus's memories of two classes are of up to two.
_PUBLISHED = {
    ("Zholus", 1, True): (85.2, 79.8, 77.5, 76.2, 75.3, 73.2, 71.8),
    ("Zholus", 2, False): (85.2, 82.7, 80.1, 78.5, 77.5, 75.2, 73.5),
    ("Bornschein", 1, True): (86.5, 83.0, 79.6, 79.0, 76.5, 76.2, 73.9),
    ("Bornschein", 2, True): (87.5, 83.3, 80.9, 79.3, 79.1, 77.0, 75.0),
}
_AUTHORS = ("Zholus", "Bornschein")


class Cell(NamedTuple):
    """What was measured for one kind and size of memory.

    Attributes:
        num_classes: C.
        exact: whether every memory has C classes, not up to C.
        memory_size: M.
        bounds: name -> mean and standard error over the targets, in nats.
    """

    num_classes: int
    exact: bool
    memory_size: int
    bounds: dict[str, dict[str, float | None]]

    @property
    def classes(self) -> str:
        """C as a table has it."""
        return f"{'' if self.exact else 'up to '}{self.num_classes}"

    def published(self, author: str) -> float | None:
        """The bound of 1,000 samples that an author gives."""
        row = _PUBLISHED.get((author, self.num_classes, self.exact))
        if row is None or self.memory_size not in _SIZES:
            return None
        return row[_SIZES.index(self.memory_size)]


def draw(values: flags.FlagValues) -> list[Path]:
    """Measures every cell and writes the table as CSV, Markdown and PNG."""
    model, images = open_run(values)
    if not model.memory.stores:
        raise UserError(
            "--table=vma_omniglot measures what a memory is worth, and "
            f"{type(model).__name__} has none: choose another --model_dir"
        )
    tighter = tf.function(
        lambda batch, seed: importance_weighted_bounds(
            model,
            batch["images"],
            model.write(batch["memory"]),
            values.num_importance_samples,
            seed,
        )
    )
    cells = []
    for num_classes, exact, memory_size in _kinds(values):
        batches = data.memory_batches(
            images,
            memory_size,
            num_classes,
            values.batch_size,
            targets=min(values.num_targets, len(images)),
            exact=exact,
            seed=values.seed,
        )
        cell = Cell(
            num_classes, exact, memory_size, _measure(tighter, batches, values)
        )
        cells.append(cell)
        bound = cell.bounds["nelbo_iw"]
        print(
            f"C {cell.classes}, M {memory_size}: {bound['mean']:.2f} "
            f"± {bound['standard_error']:.2f} nats",
            flush=True,
        )
    folder = Path(values.model_dir)
    about = _about(values, model, images)
    paths = [folder / f"vma_omniglot.{kind}" for kind in ("csv", "md", "png")]
    _write_csv(cells, values, paths[0])
    write_text(paths[1], _markdown(cells, about))
    drawing.line_plot([_panel(cells, about)], paths[2])
    return paths


def _kinds(values: flags.FlagValues) -> list[tuple[int, bool, int]]:
    """C, whether exactly, and M of each cell."""
    kinds = []
    for num_classes in map(int, values.classes):
        for exact in (True, False)[: 1 + (num_classes > 1)]:
            kinds += [
                (num_classes, exact, size)
                for size in map(int, values.sizes)
                if size >= num_classes or not exact
            ]
    return kinds


def _measure(tighter: Any, batches: Any, values: flags.FlagValues) -> dict:
    collected: dict[str, list] = {}
    for index, batch in enumerate(batches):
        # The same noise in every cell.
        seed = ops.fold_in(values.seed, index)
        for name, bound in tighter(batch, seed).items():
            collected.setdefault(name, []).append(np.asarray(bound).ravel())
    return {
        name: mean_and_standard_error(np.concatenate(parts))
        for name, parts in collected.items()
    }


def _about(values: flags.FlagValues, model: Any, images: Any) -> str:
    count = min(values.num_targets, len(images))
    return (
        f"{type(model).__name__}, {count:,} images of {images.name} "
        f"{images.split} ({images.image_shape[0]} x {images.image_shape[1]}), "
        f"{values.num_importance_samples:,} samples, memories of seed "
        f"{values.seed}"
    )


def _write_csv(cells: list[Cell], values: flags.FlagValues, path: Path) -> None:
    names = list(cells[0].bounds)
    header = ["classes", "exact", "memory_size", "num_importance_samples"]
    header += ["seed"]
    for name in names:
        header += [name, f"{name}_standard_error"]
    header += [author.lower() for author in _AUTHORS]
    with atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for cell in cells:
                row: list[Any] = [cell.num_classes, cell.exact]
                row += [cell.memory_size, values.num_importance_samples]
                row.append(values.seed)
                for name in names:
                    row += list(cell.bounds[name].values())
                row += [cell.published(author) for author in _AUTHORS]
                writer.writerow(row)


def _markdown(cells: list[Cell], about: str) -> str:
    names = list(cells[0].bounds)
    titles = {
        "nelbo_iw": "importance-weighted",
        "nelbo_stratified": "stratified",
    }
    header = ["C", "M", *(titles.get(n, n) for n in names)]
    header += [f"{author}, ELBO@1000" for author in _AUTHORS]
    rows = [header, ["---"] * len(header)]
    for cell in cells:
        row = [cell.classes, str(cell.memory_size)]
        for name in names:
            bound = cell.bounds[name]
            row.append(f"{bound['mean']:.2f} ± {bound['standard_error']:.2f}")
        for author in _AUTHORS:
            published = cell.published(author)
            row.append("-" if published is None else f"{published:.1f}")
        rows.append(row)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(
        [
            f"{about}; negative bounds in nats an image, mean ± standard "
            "error over the targets.",
            "",
            *lines,
            "",
        ]
    )


def _panel(cells: list[Cell], about: str) -> Panel:
    x = sorted({cell.memory_size for cell in cells})
    curves: dict[str, Any] = {}
    published = []
    for kind in dict.fromkeys((c.num_classes, c.exact) for c in cells):
        row = {
            c.memory_size: c for c in cells if (c.num_classes, c.exact) == kind
        }
        label = f"C = {next(iter(row.values())).classes}"
        measured = [
            [
                row[size].bounds["nelbo_iw"][part] if size in row else np.nan
                for size in x
            ]
            for part in ("mean", "standard_error")
        ]
        curves[label] = tuple(np.array(part, "float64") for part in measured)
        for author in _AUTHORS:
            numbers = [
                row[size].published(author) if size in row else None
                for size in x
            ]
            if any(number is not None for number in numbers):
                published.append(f"{label}, {author} (1,000 samples)")
                curves[published[-1]] = np.array(numbers, "float64")
    return Panel(
        x=np.array(x),
        x_label="images in the memory",
        y_label="negative bound, nats",
        # Too long for one line.
        title=about.replace("), ", "),\n", 1),
        curves=curves,
        dashed=published,
    )
