"""Bounds against the number of images in a memory of one size.

For each of `--lengths` every image of the split is written in an episode of
that many, of any class, and scored under that memory (A), under another
episode's of as many (C other) and under one to which nothing was written
(C prior). The runs of `--model_dir` and `--runs` are read as they are: what
they were trained with does not change with the length.
"""

import copy
import itertools
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kgpm import data
from kgpm import ops
from kgpm.cli import flags
from kgpm.cli.images import evaluation_batches
from kgpm.errors import UserError
from kgpm.evaluation.batches import unpack
from kgpm.evaluation.summary import mean_and_standard_error
from kgpm.experiments.compared_runs import ComparedRun
from kgpm.experiments.compared_runs import markdown_table
from kgpm.experiments.compared_runs import open_runs
from kgpm.experiments.compared_runs import write_rows
from kgpm.files import write_text
from kgpm.pictures import drawing
from kgpm.pictures.line_panel import COLOURS
from kgpm.pictures.line_panel import Panel

LENGTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
_FIGURES = {"A": "A", "C_other": "C other", "C_prior": "C prior"}


class Capacity(NamedTuple):
    """What a run makes of episodes of one length, in nats per image.

    Attributes:
        run: its name.
        length: T.
        floats: numbers of the memory for each image written.
        terms: figure -> term -> mean and standard error.
    """

    run: str
    length: int
    floats: float
    terms: dict[str, dict[str, dict[str, float | None]]]


def draw(values: flags.FlagValues) -> list[Path]:
    """Measures every run at every length; writes CSV, Markdown and PNG."""
    runs, images = open_runs(values)
    for run in runs:
        if not run.model.memory.stores:
            raise UserError(
                "--figure=gpm_capacity measures what a memory holds, and "
                f"{run.name} has none: choose other runs"
            )
    lengths = [int(length) for length in values.lengths or LENGTHS]
    found = []
    for length in lengths:
        for run in runs:
            found.append(_measure(run, length, values, images))
            bound = found[-1].terms["A"]["nelbo"]
            print(
                f"T {length:,}, {run.name}: A {bound['mean']:.2f} nats",
                flush=True,
            )
    path = Path(values.model_dir) / "gpm_capacity"
    paths = [path.with_suffix(f".{kind}") for kind in ("csv", "md", "png")]
    rows = [
        (
            each.run,
            each.length,
            each.floats,
            figure,
            term,
            value["mean"],
            value["standard_error"],
        )
        for each in found
        for figure, terms in each.terms.items()
        for term, value in terms.items()
    ]
    header = ("run", "length", "floats_per_image", "figure", "term")
    write_rows((*header, "nats", "standard_error"), rows, paths[0])
    write_text(paths[1], _markdown(found, images.description))
    panels = [
        _panel(found, lengths, "nelbo", f"bound, {images.label}"),
        _panel(found, lengths, "nll", "its part of the pixels"),
    ]
    drawing.line_plot(panels, paths[2])
    return paths


def _measure(
    run: ComparedRun,
    length: int,
    values: flags.FlagValues,
    images: data.ImageSet,
) -> Capacity:
    model = run.model
    write = tf.function(model.write)
    query = tf.function(
        lambda episodes, memory, weights, seed: model.query_terms(
            episodes, memory, seed, weights
        )
    )
    of_length: Any = copy.deepcopy(values)
    of_length.episode_length = length
    # Classes may not have as many images: their episodes would stay short.
    of_length.classes_per_episode = 0
    batches = [
        unpack(batch)
        for batch in evaluation_batches(
            of_length, images, max(values.images_per_step // length, 1)
        )
    ]
    if sum(episodes.shape[0] for episodes, _ in batches) < 2:
        raise UserError(
            f"Expected --lengths of which {len(images):,} images fill more "
            f"than one episode, received {length}."
        )
    parts: dict[str, dict[str, list]] = {figure: {} for figure in _FIGURES}
    sizes: list[int] = []

    def written(index: int) -> Any:
        seed = ops.fold_in(ops.fold_in(values.seed, index), 1)
        return write(*batches[index], seed)

    # Each episode is read from the memory before its own, the first from the
    # last one's.
    last = _episodes(written(len(batches) - 1), slice(-1, None))
    for index, (episodes, weights) in enumerate(batches):
        memory = written(index)
        before = _episodes(memory, slice(None, -1))
        memories = {
            "A": memory,
            "C_other": tf.nest.map_structure(
                lambda *both: tf.concat(both, axis=0), last, before
            ),
            "C_prior": model.memory.prior(episodes.shape[0]),
        }
        last = _episodes(memory, slice(-1, None))
        mask = np.asarray(weights) > 0
        sizes.extend(mask.sum(axis=1))
        # The noise of all reads is the same: the memory is all that differs.
        seed = ops.fold_in(ops.fold_in(values.seed, index), 2)
        for figure, each in memories.items():
            terms = query(episodes, each, weights, seed)
            for name, value in {"nelbo": ops.nelbo(terms), **terms}.items():
                kept = np.asarray(value, "float64")[mask]
                parts[figure].setdefault(name, []).append(kept)
    figures = {
        figure: {
            name: mean_and_standard_error(np.concatenate(part), sizes)
            for name, part in each.items()
        }
        for figure, each in parts.items()
    }
    floats = (model.memory.memory_floats(length) or float("nan")) / length
    return Capacity(run.name, length, floats, figures)


def _episodes(memory: Any, kept: slice) -> Any:
    return tf.nest.map_structure(lambda value: value[kept], memory)


def _panel(
    found: list[Capacity], lengths: list[int], term: str, title: str
) -> Panel:
    curves: dict[str, Any] = {}
    colours: dict[str, str] = {}
    runs = dict.fromkeys(each.run for each in found)
    for run, colour in zip(runs, itertools.cycle(COLOURS), strict=False):
        of_run = [each.terms for each in found if each.run == run]
        for figure in ("A", "C_other"):
            values = [terms[figure][term] for terms in of_run]
            mean, error = (
                np.array([value[part] for value in values], "float64")
                for part in ("mean", "standard_error")
            )
            name = f"{run}, {_FIGURES[figure]}"
            curves[name], colours[name] = (mean, error), colour
    return Panel(
        x=np.log2(lengths),
        x_label="log2 of the images written, T",
        y_label="nats per image",
        title=title,
        curves=curves,
        colours=colours,
        dashed=[name for name in curves if not name.endswith(", A")],
        # From a few nats to what a wrong copy costs.
        log_y=True,
    )


def _markdown(found: list[Capacity], description: str) -> str:
    rows = [
        (
            f"{each.length:,}",
            each.run,
            f"{each.floats:,.1f}",
            *(_text(each.terms[figure]["nelbo"]) for figure in _FIGURES),
            _text(each.terms["A"]["nll"]),
        )
        for each in found
    ]
    header = ("T", "run", "floats per image", *_FIGURES.values(), "nll of A")
    about = f"\nnats per image, mean ± standard error; {description}.\n"
    return markdown_table(header, rows) + about


def _text(value: dict[str, float | None]) -> str:
    mean, error = value["mean"], value["standard_error"]
    if mean is None:
        return "not finite"
    return f"{mean:.2f}" if error is None else f"{mean:.2f} ± {error:.2f}"
