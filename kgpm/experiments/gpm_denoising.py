"""Damaged images read back, at every kind and level of noise (figures 2, 8).

Of each run of `--model_dir` and `--runs`: images are written, damaged, and
read `--num_steps` times; the distance from the clean image after the last
read against the level of the damage, beside that of the query itself and of a
pass of encoder and decoder without a memory. The levels are those of the GPM
paper.
"""

from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np

from kgpm import data
from kgpm.cli import flags
from kgpm.cli.images import evaluation_batches
from kgpm.evaluation.retrieval import is_binary
from kgpm.evaluation.retrieval import measure_retrieval
from kgpm.experiments.compared_runs import ComparedRun
from kgpm.experiments.compared_runs import markdown_table
from kgpm.experiments.compared_runs import open_runs
from kgpm.experiments.compared_runs import write_rows
from kgpm.files import write_text
from kgpm.pictures import drawing
from kgpm.pictures.line_panel import Panel

# Of 28 x 28 pixels; `data.CORRUPTIONS` says what each means.
LEVELS = {
    "salt_and_pepper": (0.05, 0.1, 0.15, 0.2),
    "block": (6.0, 9.0, 12.0, 15.0),
    "rotate": (15.0, 25.0, 35.0, 45.0),
}


class Cleaning(NamedTuple):
    """What a run makes of one kind and level of noise.

    Attributes:
        run: its name.
        noise: a key of `LEVELS`.
        level: how strong it is.
        summary: of the `kgpm.evaluation.retrieval.Retrieval`.
    """

    run: str
    noise: str
    level: float
    summary: dict[str, Any]

    def error(self, name: str) -> dict[str, float | None]:
        """Of the `query`, the `autoencoder`, the `first` or the `last` read."""
        places = {"first": 0, "last": -1}
        if name in places:
            return self.summary["reads"][places[name]]
        return self.summary[name]


def draw(values: flags.FlagValues) -> list[Path]:
    """Measures every run; writes CSV, Markdown and a panel for each noise."""
    runs, images = open_runs(values)
    found = []
    for noise, levels in LEVELS.items():
        for level in levels:
            for run in runs:
                found.append(_measure(run, noise, level, values, images))
                error = found[-1].error("last")["mean"]
                print(f"{noise} {level:g}, {run.name}: {error:.2f}", flush=True)
    path = Path(values.model_dir) / "gpm_denoising"
    paths = [path.with_suffix(f".{kind}") for kind in ("csv", "md", "png")]
    names = ("query", "autoencoder", "first", "last")
    rows = [
        (
            each.run,
            each.noise,
            each.level,
            *(
                each.error(name)[part]
                for name in names
                for part in ("mean", "standard_error")
            ),
            each.summary["energy_rises"],
        )
        for each in found
    ]
    header = [
        column for name in names for column in (name, f"{name}_standard_error")
    ]
    write_rows(
        ["run", "noise", "level", *header, "energy_rises"], rows, paths[0]
    )
    write_text(paths[1], _markdown(found, values, images.description))
    drawing.line_plot([_panel(found, noise) for noise in LEVELS], paths[2])
    return paths


def _measure(
    run: ComparedRun,
    noise: str,
    level: float,
    values: flags.FlagValues,
    images: data.ImageSet,
) -> Cleaning:
    corrupt = data.make_corruption(noise, level, binary=is_binary(run.model))
    retrieval = measure_retrieval(
        run.model,
        evaluation_batches(values, images, values.batch_size),
        corrupt,
        num_steps=values.num_steps,
        threshold=values.threshold,
        num_images=values.num_targets,
        num_examples=1,
        seed=values.seed,
    )
    return Cleaning(run.name, noise, level, retrieval.summary())


def _panel(found: list[Cleaning], noise: str) -> Panel:
    found = [each for each in found if each.noise == noise]
    runs = list(dict.fromkeys(each.run for each in found))
    curves: dict[str, Any] = {}
    for run in runs:
        curves[run] = _curve([e.error("last") for e in found if e.run == run])
    first = [each for each in found if each.run == runs[0]]
    curves["query"] = _curve([each.error("query") for each in first])
    name = f"{runs[0]}, encode and decode"
    curves[name] = _curve([each.error("autoencoder") for each in first])
    return Panel(
        x=np.array([each.level for each in first]),
        x_label=f"{noise}: {data.get_corruption(noise).level.label}",
        y_label=f"{first[0].summary['unit']}, last read",
        title=f"{first[0].summary['num_images']:,} images",
        curves=curves,
        dashed=["query", name],
    )


def _curve(values: list[dict[str, float | None]]) -> tuple:
    return tuple(
        np.array([value[part] for value in values], "float64")
        for part in ("mean", "standard_error")
    )


def _markdown(
    found: list[Cleaning], values: flags.FlagValues, description: str
) -> str:
    rows = [
        (
            each.noise,
            f"{each.level:g}",
            each.run,
            *(
                f"{each.error(name)['mean']:.2f}"
                for name in ("query", "autoencoder", "first")
            ),
            f"{each.error('last')['mean']:.2f} ± "
            f"{each.error('last')['standard_error']:.2f}",
            f"{100 * each.summary['energy_rises']:.1f}%",
        )
        for each in found
    ]
    header = (
        *("noise", "level", "run", "query", "encode and decode"),
        *("read 1", f"read {values.num_steps}", "steps whose energy rises"),
    )
    about = (
        f"\n{found[0].summary['unit']}, {found[0].summary['num_images']:,} "
        f"images in episodes of {values.episode_length}, threshold "
        f"{values.threshold:g}, seed {values.seed}; {description}.\n"
    )
    return markdown_table(header, rows) + about
