"""Kanerva++ with its memory and with a dense network instead (figure 9).

Trains both from `--base`, `--num_seeds` times each, below `--model_dir`, and
draws the conditional bound of the validation images after each epoch, mean
and standard deviation over the seeds. What is there already is not trained
again.
"""

import csv
from pathlib import Path

import numpy as np

from kgpm.cli import flags
from kgpm.experiments.training_runs import TrainedRun
from kgpm.experiments.training_runs import figure_value
from kgpm.experiments.training_runs import mean_and_deviation
from kgpm.experiments.training_runs import seeds_title
from kgpm.experiments.training_runs import train
from kgpm.files import atomic_path
from kgpm.pictures import drawing
from kgpm.pictures.line_panel import Panel

_MODELS = {"kpp": "Kanerva++", "kpp_dense": "dense network"}


def draw(values: flags.FlagValues) -> list[Path]:
    """Trains what is missing, draws the figure and writes its numbers."""
    folder = Path(values.model_dir)
    runs = {
        model: [
            train(
                folder / f"{model}_{seed}",
                values.base,
                model=model,
                seed=seed,
                epochs=values.epochs,
                data_dir=values.data_dir,
            )
            for seed in range(values.num_seeds)
        ]
        for model in _MODELS
    }
    picture = folder / "kpp_ablation.png"
    drawing.line_plot([_panel(runs)], picture)
    table = folder / "kpp_ablation.csv"
    _write_table(runs, table)
    return [picture, table]


def _panel(runs: dict[str, list[TrainedRun]]) -> Panel:
    everyone = [run for each in runs.values() for run in each]
    # Where a training was cut short, up to there; and the first tenth, whose
    # fall is many times what comes after, left out.
    common = min(len(run.epochs["epoch"]) for run in everyone)
    shown = slice(common // 10, common)
    curves = {}
    for model, name in _MODELS.items():
        nats = [run.epochs["val_nelbo"][shown] for run in runs[model]]
        test = np.mean([figure_value(run, "nelbo") for run in runs[model]])
        label = f"{name} (test {test:.1f})"
        curves[label] = mean_and_deviation(nats)
    return Panel(
        x=everyone[0].epochs["epoch"][shown].astype(int),
        x_label="epoch",
        y_label="conditional bound, validation, nats per image",
        title=seeds_title(len(runs["kpp"])),
        curves=curves,
    )


def _write_table(runs: dict[str, list[TrainedRun]], path: Path) -> None:
    with atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["model", "seed", "parameters", "figure", "nelbo"])
            for model, each in runs.items():
                for seed, run in enumerate(each):
                    for figure, terms in run.result["figures"].items():
                        if terms is not None:
                            writer.writerow(
                                [
                                    model,
                                    seed,
                                    run.result["parameters"],
                                    figure,
                                    terms["nelbo"]["mean"],
                                ]
                            )
