"""TensorBoard scalars and hyper-parameters."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api

from kgpm.training.run_directory import RunDirectory

_VALIDATION = "val_"


class ScalarLogger(keras.callbacks.Callback):
    """Writes each epoch's logs, those of validation as a run of their own.

    Keras's own callback also writes every evaluation a second time, against
    steps, and counts epochs from 0, unlike the progress it prints.

    Args:
        run: the run's directory; scalars go to `logs/train` and
            `logs/validation`.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._logs = run.logs
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._writers = {
            name: tf.summary.create_file_writer(str(self._logs / name))
            for name in ("train", "validation")
        }

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name, value in (logs or {}).items():
            validation = name.startswith(_VALIDATION)
            writer = self._writers["validation" if validation else "train"]
            with writer.as_default(step=epoch + 1):
                tf.summary.scalar(name.removeprefix(_VALIDATION), value)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        for writer in self._writers.values():
            writer.close()


def tensorboard_callbacks(
    run: RunDirectory,
    hyperparameters: Mapping[str, Any],
    terms: Sequence[str] = (),
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that log each epoch's scalars and the flags.

    Args:
        run: the run's directory.
        hyperparameters: names and values for the HParams table; those that
            are `None` are left out.
        terms: names of the validation figures in that table, best first.

    Returns:
        Callbacks; the run has its directory's name in the HParams table.
    """
    plain = {
        name: value
        if isinstance(value, bool | int | float | str)
        else str(value)
        for name, value in hyperparameters.items()
        if value is not None
    }
    with tf.summary.create_file_writer(str(run.logs)).as_default():
        hparams_api.hparams_config(
            hparams=[hparams_api.HParam(name) for name in plain],
            metrics=[
                hparams_api.Metric(
                    term, group="validation", display_name=f"validation {term}"
                )
                for term in terms
            ],
        )
    return [
        ScalarLogger(run),
        hparams_api.KerasCallback(
            str(run.logs), plain, trial_id=run.path.resolve().name
        ),
    ]
