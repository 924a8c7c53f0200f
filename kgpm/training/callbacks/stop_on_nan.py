"""Ends training at the first step that is not finite."""

import math

import keras

from kgpm.errors import UserError


class StopOnNaN(keras.callbacks.Callback):
    """Raises at the first loss or gradient that is not finite.

    It comes before the callbacks that save, so what was saved is of the last
    good epoch.
    """

    _WATCHED = ("loss", "gradient_norm")

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        for name in self._WATCHED:
            self._check(name, logs, f"at step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name in logs or {}:
            self._check(name, logs, "at the end")

    def _check(self, name: str, logs: dict | None, where: str) -> None:
        value = float((logs or {}).get(name, 0.0))
        if math.isfinite(value):
            return
        iteration = int(self.model.optimizer.iterations.numpy())
        raise UserError(
            f"{name} became {value} {where} of epoch {self._epoch + 1} (step "
            f"{iteration} of the run): try a lower --learning_rate, a longer "
            "--warmup_epochs or a smaller --clip_norm (the checkpoints are "
            "those of the last good epoch)"
        )
