"""Does a soft read of a memory learn faster than quantisation?

Trains `--variants` from `--base`, `--num_seeds` times each, and draws the
error in training against the minibatches, the use of rows and codes, and the
error on the test split with the controls: a memory read by its likeliest row
and by a drawn one, though it was trained to be read softly.
"""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.cli import flags
from kgpm.cli.stored_run import evaluation_batches
from kgpm.cli.training_job import load_split
from kgpm.experiments.memory_vae_runs import TrainedVariant
from kgpm.experiments.memory_vae_runs import base_flags
from kgpm.experiments.memory_vae_runs import train_variants
from kgpm.experiments.training_runs import figure_value
from kgpm.experiments.training_runs import mean_and_deviation
from kgpm.experiments.training_runs import seeds_title
from kgpm.models import MemoryVAE
from kgpm.training import pictures
from kgpm.training.bar_panel import BarPanel
from kgpm.training.batches import unpack
from kgpm.training.files import atomic_path
from kgpm.training.files import write_text
from kgpm.training.panel import Panel
from kgpm.training.stored_model import load_model


class ReadError(NamedTuple):
    """The error of a run on the test split.

    Attributes:
        variant: of `VARIANTS`.
        label: what it is called in figures.
        read: `as trained`, `likeliest row` or `drawn row`.
        seed: of the training.
        nmse: mean squared error over the variance of the data.
        rate: nats of an image that a drawn address would carry at most, or
            `None` where there are no addresses.
        perplexity: of the use of rows or codes, or `None`.
    """

    variant: str
    label: str
    read: str
    seed: int
    nmse: float
    rate: float | None
    perplexity: float | None


def draw(values: flags.FlagValues) -> list[Path]:
    """Trains what is missing, draws the figure and writes its numbers."""
    trained = train_variants(values, values.num_seeds)
    base = base_flags(values)
    test = load_split(base, "test")
    errors = []
    for variant in trained:
        for seed, folder in enumerate(variant.folders):
            errors += _errors(
                variant,
                seed,
                load_model(folder, "best"),
                lambda: evaluation_batches(base, test, base.batch_size),
            )
    folder = Path(values.model_dir)
    paths = [
        folder / f"memory_vae_convergence.{kind}"
        for kind in ("png", "csv", "md")
    ]
    panels: list[Any] = [
        _curves(trained, base, "nmse", "NMSE in training", log=True),
        _curves(trained, base, "perplexity", "perplexity of rows or codes"),
        BarPanel(
            {
                name: _spread([each.nmse for each in group])
                for name, group in _grouped(errors).items()
            },
            f"NMSE, {len(test):,} test images",
            seeds_title(values.num_seeds),
        ),
    ]
    pictures.line_plot([panel for panel in panels if panel], paths[0])
    _write_csv(errors, paths[1])
    write_text(paths[2], _markdown(errors, test.description))
    return paths


def _errors(
    variant: TrainedVariant,
    seed: int,
    model: Any,
    batches: Callable[[], Any],
) -> list[ReadError]:
    run = variant.runs[seed]
    terms = run.result["figures"]["A"]
    rate = perplexity = None
    if "perplexity" in terms:
        perplexity = figure_value(run, "perplexity")
        # Of drawn addresses: H(a) - H(a | x), as if places were independent.
        rate = model.num_vectors * math.log(perplexity)
        if "address_entropy" in terms:
            rate -= figure_value(run, "address_entropy")

    def error(read: str, nmse: float) -> ReadError:
        return ReadError(
            variant.name, variant.label, read, seed, nmse, rate, perplexity
        )

    errors = [error("as trained", figure_value(run, "nmse"))]
    if isinstance(model, MemoryVAE):
        errors += [
            error(read, _nmse(model, rows, batches()))
            for read, rows in (
                ("likeliest row", lambda vectors, _: model.likeliest(vectors)),
                ("drawn row", model.drawn),
            )
        ]
    return errors


def _nmse(model: Any, rows: Callable[..., Any], batches: Any) -> float:
    """NMSE where every vector is replaced by one row of the memory."""

    @tf.function
    def squares(images: Any, seed: Any) -> Any:
        codes = model.encode(images)
        shape = (*codes.shape[:-1], model.num_vectors, model.embedding_dim)
        latents = rows(tf.reshape(codes, shape), seed)
        latents = tf.reshape(latents, tf.shape(codes))
        error = images - model.likelihood.mean(model.decode(latents))
        return tf.reduce_mean(tf.square(error), axis=[-3, -2, -1])

    total = count = 0.0
    for index, batch in enumerate(batches):
        images, weights = unpack(batch)
        error = squares(images, ops.make_seed(index))
        total += float(np.sum(error * weights))
        count += float(np.sum(weights))
    return total / count / model.data_variance


def _curves(
    trained: list[TrainedVariant],
    base: flags.FlagValues,
    name: str,
    y_label: str,
    log: bool = False,
) -> Panel | None:
    """A figure of training against the minibatches; `None` without any."""
    trained = [each for each in trained if name in each.runs[0].epochs]
    if not trained:
        return None
    runs = [run for each in trained for run in each.runs]
    common = min(len(run.epochs["epoch"]) for run in runs)
    epochs = runs[0].epochs["epoch"][:common].astype(int)
    steps = base.steps_per_epoch
    return Panel(
        x=epochs * (steps or 1),
        x_label=f"minibatches of {base.batch_size * base.episode_length} images"
        if steps
        else "epochs",
        y_label=y_label,
        title=f"mean over each {steps} minibatches" if steps else "",
        curves={
            each.label: mean_and_deviation(
                [run.epochs[name][:common] for run in each.runs]
            )
            for each in trained
        },
        log_y=log,
    )


def _grouped(errors: list[ReadError]) -> dict[str, list[ReadError]]:
    groups: dict[str, list[ReadError]] = {}
    for each in errors:
        usual = each.read == "as trained"
        name = each.label if usual else f"{each.label}, {each.read}"
        groups.setdefault(name, []).append(each)
    return groups


def _spread(values: list[float]) -> tuple[float, float | None]:
    mean, deviation = mean_and_deviation(values)
    return float(mean), None if deviation is None else float(deviation)


def _write_csv(errors: list[ReadError], path: Path) -> None:
    with atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                name if name != "rate" else "rate_nats"
                for name in ReadError._fields
            )
            writer.writerows(errors)


def _markdown(errors: list[ReadError], description: str) -> str:
    lines = [
        "| model | test NMSE | perplexity | rate, bits/image |",
        "|---|---|---|---|",
    ]
    for name, group in _grouped(errors).items():
        cells = [_text([each.nmse for each in group], 4)]
        for numbers, scale in (
            ([each.perplexity for each in group], 1.0),
            ([each.rate for each in group], 1.0 / math.log(2.0)),
        ):
            known = [scale * value for value in numbers if value is not None]
            cells.append(_text(known, 0) if known else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    seeds = 1 + max(each.seed for each in errors)
    lines += ["", f"{description}; {seeds_title(seeds)}."]
    return "\n".join(lines) + "\n"


def _text(values: list[float], digits: int) -> str:
    mean, deviation = _spread(values)
    if deviation is None:
        return f"{mean:,.{digits}f}"
    return f"{mean:,.{digits}f} ± {deviation:.{digits}f}"
