"""Everything that a training run needs to go on exactly where it was."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kgpm.errors import UserError
from kgpm.files import atomic_path
from kgpm.files import read_json
from kgpm.files import write_json
from kgpm.training.workers.strategy import of_first_worker


@dataclasses.dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: epochs completed.
        best: lowest validation bound in nats, None before the first epoch.
        best_epoch: epoch (from 1) of the lowest, 0 before the first.
    """

    epoch: int = 0
    best: float | None = None
    best_epoch: int = 0

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        return patience is not None and (
            self.epoch - self.best_epoch >= patience
        )


def save_backup(
    directory: Path, model: keras.Model, progress: Progress
) -> None:
    """Saves the weights, the optimiser's state and the progress.

    The values go to a file of their own; the small `progress.json` that names
    it is replaced after that, so that a crash leaves the one or the other.

    Args:
        directory: the run's `backup`.
        model: a compiled model with a built optimiser.
        progress: what is saved with it.

    Raises:
        OSError: if it cannot be written; the older backup is then unchanged.
    """
    path = directory / f"epoch-{progress.epoch:06d}.npz"
    with atomic_path(path) as temporary:
        np.savez(temporary, **_values(model))
    record = {"values": path.name, **dataclasses.asdict(progress)}
    write_json(directory / "progress.json", record)
    for other in directory.glob("*.npz"):
        if other != path:
            other.unlink()


def restore_backup(directory: Path, model: keras.Model) -> Progress:
    """Loads what `save_backup` saved.

    Args:
        directory: the run's `backup`.
        model: a compiled model of the same kind with a built optimiser.

    Returns:
        The progress; that of a new run if nothing was saved yet.

    Raises:
        UserError: if the backup is damaged or of another model or optimiser.
    """
    record = read_json(directory / "progress.json")
    if record is None:
        return Progress()
    path = directory / record.pop("values")
    variables = _variables(model)
    try:
        with open(path, "rb") as opened:
            file = np.load(opened, allow_pickle=False)
            values = {name: file[name] for name in file.files}
    except Exception as error:
        raise UserError(
            f"{path} is damaged or gone ({error}): delete {directory} and "
            "start again in another --model_dir"
        ) from error
    if {name: value.shape for name, value in values.items()} != {
        name: tuple(variable.shape) for name, variable in variables.items()
    }:
        raise UserError(
            f"{path} holds the state of another model or optimizer: resume "
            f"with --flagfile={directory.parent / 'flags.cfg'}"
        )
    for name, variable in variables.items():
        variable.assign(values[name])
    return Progress(**record)


def share_state(
    strategy: Any, model: keras.Model, progress: Progress
) -> Progress:
    """Gives all workers the first one's weights, optimiser and progress.

    It alone has the backup: had each its own, those of a run that was killed
    between two of them would be of different epochs.

    Args:
        strategy: of the training.
        model: a compiled model with a built optimiser.
        progress: the first worker's; that of the others does not count.
    """
    variables = list(_variables(model).values())
    lowest = np.nan if progress.best is None else progress.best
    record = np.array([progress.epoch, lowest, progress.best_epoch])
    values = [variable.value.numpy() for variable in variables]
    record, *values = of_first_worker(strategy, [record, *values])
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    epoch, lowest, best_epoch = record.tolist()
    best = None if math.isnan(lowest) else lowest
    return Progress(int(epoch), best, int(best_epoch))


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    variables = [*model.variables, *model.optimizer.variables]
    # Paths may repeat; the position makes a name unique, and the path keeps
    # two variables of equal shape from being taken for each other. Numbers
    # in it only count the layers that this process has made.
    return {
        f"{index:05d} {re.sub('_[0-9]+', '', variable.path)}".replace(
            "/", "."
        ): variable
        for index, variable in enumerate(variables)
    }


def _values(model: keras.Model) -> dict[str, Any]:
    return {
        name: variable.value.numpy()
        for name, variable in _variables(model).items()
    }
