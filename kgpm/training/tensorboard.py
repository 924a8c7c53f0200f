"""TensorBoard scalars and hyper-parameters."""

from collections.abc import Mapping
from typing import Any

import keras
from tensorboard.plugins.hparams import api as hparams_api

from kgpm.training.run_directory import RunDirectory


def tensorboard_callbacks(
    run: RunDirectory, hyperparameters: Mapping[str, Any]
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that log each epoch's scalars and the flags.

    Args:
        run: the run's directory.
        hyperparameters: names and values for the HParams table.

    Returns:
        Callbacks; scalars go to `logs/train` and `logs/validation`.
    """
    plain = {
        name: value
        if isinstance(value, bool | int | float | str)
        else str(value)
        for name, value in hyperparameters.items()
    }
    return [
        keras.callbacks.TensorBoard(
            str(run.logs), write_graph=False, update_freq="epoch"
        ),
        hparams_api.KerasCallback(str(run.logs), plain),
    ]
