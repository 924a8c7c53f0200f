"""Trainings that a figure needs, each in a process and directory of its own."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np

from kgpm.cli.main import training_flags
from kgpm.cli.run_flags import differing_flags
from kgpm.errors import UserError
from kgpm.training.run_directory import RunDirectory


class TrainedRun(NamedTuple):
    """What a training left behind.

    Attributes:
        epochs: `{column: [E]}` of `metrics.csv`.
        result: the final table, `metrics.json`.
    """

    epochs: dict[str, np.ndarray]
    result: dict[str, Any]


def train(folder: Path, flagfile: str, **settings: Any) -> TrainedRun:
    """Trains a run, or goes on with it, or takes it as it is if it is done.

    Args:
        folder: the run's `--model_dir`.
        flagfile: the flags of the run.
        **settings: flags that differ from the file's; `None` leaves the
            file's.

    Raises:
        UserError: if the training ends with an error, or the run that is
            there had other flags.
    """
    run = RunDirectory(folder)
    given = [
        f"--{name}={value}"
        for name, value in settings.items()
        if value is not None
    ]
    arguments = [f"--flagfile={flagfile}", f"--model_dir={folder}", *given]
    if run.flags.is_file():
        _check_same_flags(folder, arguments)
        arguments.append("--resume")
    if not run.metrics_json.is_file():
        command = [sys.executable, "-m", "kgpm.train", *arguments]
        print(" ".join(command[1:]), flush=True)
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines() or ["no message"]
            raise UserError(f"the training in {folder} failed: {reason[-1]}")
    with open(run.metrics_csv, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = {
        name: np.array([float(row[name]) for row in rows]) for name in rows[0]
    }
    return TrainedRun(epochs, json.loads(run.metrics_json.read_text()))


def _check_same_flags(folder: Path, arguments: list[str]) -> None:
    if names := differing_flags(training_flags(*arguments)):
        raise UserError(
            f"the run in {folder} was trained with other flags ("
            f"{', '.join(names)}): give the same ones or another --model_dir"
        )


def figure_value(run: TrainedRun, name: str, figure: str = "A") -> float:
    """The mean of a term in a figure of the final table."""
    return float(run.result["figures"][figure][name]["mean"])


def seeds_title(count: int) -> str:
    """What the curves of so many seeds show."""
    if count == 1:
        return "one seed"
    return f"mean and standard deviation of {count} seeds"


def mean_and_deviation(values: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean and standard deviation over the leading axis, the seeds."""
    values = np.asarray(values)
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else None
    return values.mean(axis=0), deviation
