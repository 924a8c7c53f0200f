"""Does a soft read of a memory learn faster than quantisation?

Trains `--variants` from `--base`, `--num_seeds` times each, and draws the
error in training against the minibatches, the use of rows and codes, the
entropy of addresses, and the error on the test split with the controls: a
memory that was trained to be read softly, read by the row of greatest weight
(hard) and by one drawn by weight (sampled). With each goes what it lets
through: nats that the addresses can hold.
"""

import csv
import math
from collections.abc import Callable
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.cli import flags
from kgpm.cli.images import evaluation_batches
from kgpm.cli.images import load_split
from kgpm.evaluation.batches import unpack
from kgpm.experiments.memory_vae_runs import TrainedVariant
from kgpm.experiments.memory_vae_runs import base_flags
from kgpm.experiments.memory_vae_runs import train_variants
from kgpm.experiments.training_runs import figure_value
from kgpm.experiments.training_runs import mean_and_deviation
from kgpm.experiments.training_runs import seeds_title
from kgpm.files import atomic_path
from kgpm.files import write_text
from kgpm.layers import ADDRESSES
from kgpm.layers import SoftBottleneck
from kgpm.layers import perplexity
from kgpm.pictures import drawing
from kgpm.pictures.bar_panel import BarPanel
from kgpm.pictures.line_panel import COLOURS
from kgpm.pictures.line_panel import Panel
from kgpm.training.stored_model import load_model


class ReadScore(NamedTuple):
    """How well a run reads the test split, and through how much.

    Attributes:
        variant: of `VARIANTS`.
        label: what it is called in figures.
        read: `soft`, `hard` or `sampled`; empty where there are no rows.
        seed: of the training.
        nmse: mean squared error over the variance of the data.
        perplexity: of the use of rows or codes, or `None`.
        address_entropy: of an image's soft addresses in nats, or `None`.
        rate: of an image in nats: of a hard read the entropy of its rows, as
            if places were independent; of a sampled one what that entropy is
            above `address_entropy`. `None` where real numbers pass.
    """

    variant: str
    label: str
    read: str
    seed: int
    nmse: float
    perplexity: float | None = None
    address_entropy: float | None = None
    rate: float | None = None


def draw(values: flags.FlagValues) -> list[Path]:
    """Trains what is missing, draws the figure and writes its numbers."""
    trained = train_variants(values, values.num_seeds)
    base = base_flags(values)
    test = load_split(base, "test")
    scores = []
    for variant in trained:
        for seed, folder in enumerate(variant.folders):
            scores += _scores(
                variant,
                seed,
                load_model(folder, "best"),
                lambda: evaluation_batches(base, test, base.batch_size),
            )
    path = Path(values.model_dir) / "memory_vae_convergence"
    panels: list[Any] = [
        _curves(trained, base, "nmse", "NMSE in training", log=True),
        _curves(trained, base, "perplexity", "perplexity of rows or codes"),
        _curves(
            trained, base, "address_entropy", "entropy of addresses, nats/image"
        ),
        BarPanel(
            {
                name: _spread([each.nmse for each in group])
                for name, group in _grouped(scores).items()
            },
            f"NMSE, {len(test):,} test images",
            seeds_title(values.num_seeds),
            log_x=True,
        ),
    ]
    picture = path.with_suffix(".png")
    drawing.line_plot([panel for panel in panels if panel], picture)
    table = path.with_suffix(".csv")
    _write_csv([*ReadScore._fields[:-1], "rate_nats"], scores, table)
    curves = path.with_name(f"{path.name}_curves.csv")
    _write_csv(*_all_epochs(trained, base), curves)
    text = path.with_suffix(".md")
    write_text(text, _markdown(scores, test.description))
    return [picture, table, curves, text]


def _scores(
    variant: TrainedVariant,
    seed: int,
    model: Any,
    batches: Callable[[], Any],
) -> list[ReadScore]:
    if isinstance(model.memory, SoftBottleneck):
        reads = ADDRESSES[1:] if model.memory.draws else ADDRESSES
        return [
            ReadScore(
                variant.name,
                variant.label,
                address,
                seed,
                *_read(model, address, batches()),
            )
            for address in reads
        ]
    run = variant.runs[seed]
    score = ReadScore(
        variant.name, variant.label, "", seed, figure_value(run, "nmse")
    )
    if "perplexity" not in run.result["figures"]["A"]:
        return [score]
    codes = figure_value(run, "perplexity")
    rate = math.prod(model.encoder.grid_shape) * math.log(codes)
    return [score._replace(perplexity=codes, rate=rate)]


def _read(model: Any, address: str, batches: Any) -> tuple:
    """NMSE, perplexity, entropy and rate of a way to read a memory."""

    @tf.function
    def read(images: Any, weights: Any, seed: Any) -> tuple:
        codes = model.encode(images)
        latents, chosen = model.memory.read_rows(codes, address, seed)
        error = images - model.likelihood.mean(model.decode(latents))
        error = tf.reduce_mean(tf.square(error), axis=[-3, -2, -1])
        _, mass = model.memory.read_rows(codes)
        entropy = -tf.reduce_sum(tf.math.xlogy(mass, mass), axis=[-2, -1])
        uses = tf.reduce_mean(chosen, axis=-2) * weights[..., None]
        return (
            tf.reduce_sum(error * weights),
            tf.reduce_sum(entropy * weights),
            tf.reduce_sum(uses, axis=[0, 1]),
        )

    totals: list[Any] = [0.0, 0.0, 0.0]
    for index, batch in enumerate(batches):
        parts = read(*unpack(batch), ops.make_seed(index))
        for place, part in enumerate(parts):
            totals[place] = totals[place] + np.asarray(part, "float64")
    squares, entropy, uses = totals
    count = uses.sum()
    entropy = float(entropy / count)
    rows = float(perplexity(uses))
    rate = math.prod(model.encoder.grid_shape) * math.log(rows)
    if address == "soft":
        rate = None
    elif address == "sampled":
        rate -= entropy
    nmse = float(squares / count / model.likelihood.variance)
    return nmse, rows, entropy, rate


def _curves(
    trained: list[TrainedVariant],
    base: flags.FlagValues,
    name: str,
    y_label: str,
    log: bool = False,
) -> Panel | None:
    """A figure of training against the minibatches; `None` without any."""
    colours = dict(
        zip([each.label for each in trained], cycle(COLOURS), strict=False)
    )
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
        colours=colours,
        log_y=log,
    )


def _all_epochs(
    trained: list[TrainedVariant], base: flags.FlagValues
) -> tuple[list[str], list[list]]:
    """Header and rows of what every epoch of every run had."""
    columns = [
        *("nmse", "val_nmse", "perplexity", "val_perplexity"),
        *("address_entropy", "beta"),
    ]
    rows = []
    for variant in trained:
        for seed, run in enumerate(variant.runs):
            for index, epoch in enumerate(run.epochs["epoch"]):
                steps = int(epoch) * (base.steps_per_epoch or 1)
                figures = [
                    run.epochs[name][index] if name in run.epochs else None
                    for name in columns
                ]
                rows.append([variant.name, seed, steps, *figures])
    unit = "minibatches" if base.steps_per_epoch else "epochs"
    return ["variant", "seed", unit, *columns], rows


def _grouped(scores: list[ReadScore]) -> dict[str, list[ReadScore]]:
    groups: dict[str, list[ReadScore]] = {}
    for each in scores:
        name = f"{each.label}, {each.read} read" if each.read else each.label
        groups.setdefault(name, []).append(each)
    return groups


def _spread(values: list[float]) -> tuple[float, float | None]:
    mean, deviation = mean_and_deviation(values)
    return float(mean), None if deviation is None else float(deviation)


def _write_csv(header: list[str], rows: Sequence[Any], path: Path) -> None:
    with atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)


def _markdown(scores: list[ReadScore], description: str) -> str:
    lines = [
        "| model | test NMSE | perplexity | entropy of addresses, nats/image "
        "| rate, bits/image |",
        "|---|---|---|---|---|",
    ]
    for name, group in _grouped(scores).items():
        cells = [_text([each.nmse for each in group], 4)]
        for field, scale in (
            ("perplexity", 1.0),
            ("address_entropy", 1.0),
            ("rate", 1.0 / math.log(2.0)),
        ):
            numbers = [getattr(each, field) for each in group]
            known = [scale * value for value in numbers if value is not None]
            cells.append(_text(known, 0) if known else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    seeds = 1 + max(each.seed for each in scores)
    lines += ["", f"{description}; {seeds_title(seeds)}."]
    return "\n".join(lines) + "\n"


def _text(values: list[float], digits: int) -> str:
    mean, deviation = _spread(values)
    if deviation is None:
        return f"{mean:,.{digits}f}"
    return f"{mean:,.{digits}f} ± {deviation:.{digits}f}"
