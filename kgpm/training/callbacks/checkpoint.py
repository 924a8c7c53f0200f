"""Saves the last and the best model and the backup; stops early."""

import math

import keras

from kgpm.files import copy_file
from kgpm.files import write_json
from kgpm.training.backup import Progress
from kgpm.training.backup import save_backup
from kgpm.training.callbacks.averaged_weights import averaged_weights
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import describe_model
from kgpm.training.stored_model import save_model


class Checkpoint(keras.callbacks.Callback):
    """Saves after each epoch, and stops when the bound gets no better.

    The bound is that of the validation data that the model trains on, its
    `monitor`: `val_nelbo`, or `val_nelbo_full` where the loss charges for the
    memory. `checkpoints/last.keras` and, after an epoch with the lowest one,
    `checkpoints/best.keras` hold the averaged weights where the optimiser
    averages; `backup/` holds the raw ones with the optimiser's state. It is
    the last of the callbacks that write: an epoch counts when it is backed up.

    Args:
        run: the run's directory; None saves nothing, as on the workers that
            only take the same decisions.
        progress: where the run stands; updated.
        patience: epochs without a lower bound before training stops;
            None never stops.
    """

    def __init__(
        self,
        run: RunDirectory | None,
        progress: Progress | None = None,
        patience: int | None = None,
    ) -> None:
        super().__init__()
        self._run = run
        self._patience = patience
        self._stopped = False
        self.progress = Progress() if progress is None else progress

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self._run is not None:
            path = self._run.backup / "model.json"
            write_json(path, describe_model(self.model))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        value = figures.get(f"val_{self.model.monitor}", math.nan)
        progress = self.progress
        progress.epoch = epoch + 1
        improved = value < (
            math.inf if progress.best is None else progress.best
        )
        if improved:
            progress.best, progress.best_epoch = value, epoch + 1
        if self._run is not None:
            self._save(self._run, {"epoch": epoch + 1, **figures}, improved)
        if progress.out_of_patience(self._patience):
            self._stopped = True
            self.model.stop_training = True

    def _save(self, run: RunDirectory, record: dict, improved: bool) -> None:
        last, best = run.checkpoint("last"), run.checkpoint("best")
        with averaged_weights(self.model):
            save_model(self.model, last)
        write_json(last.with_suffix(".json"), record)
        if improved:
            # A copy takes a hundredth of the time of saving once more.
            copy_file(last, best)
            write_json(best.with_suffix(".json"), record)
        save_backup(run.backup, self.model, self.progress)

    def on_train_end(self, logs: dict | None = None) -> None:
        if not self._stopped:
            return
        name, best = f"val_{self.model.monitor}", self.progress.best
        if best is None:
            print(f"Stopped early: {name} was never a finite number.")
            return
        print(
            f"Stopped early: in {self._patience} epochs {name} has not gone "
            f"below the {best:.2f} nats of epoch {self.progress.best_epoch}."
        )
