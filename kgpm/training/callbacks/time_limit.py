"""Ends training before an epoch that would take it past a time limit."""

import time

import keras

from kgpm.training.workers.strategy import any_worker


class TimeLimit(keras.callbacks.Callback):
    """Stops after the last epoch that ends within the limit.

    Only whole epochs are trained, so a stopped run can be resumed exactly. All
    workers stop with the first whose clock says so.

    Args:
        minutes: the limit, from the start of `fit`.
    """

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self._seconds = 60.0 * minutes
        self._train_started = 0.0
        self._epoch_started = 0.0
        self._stopped_after = 0

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._train_started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch_started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        now = time.perf_counter()
        next_end = now - self._train_started + now - self._epoch_started
        last = epoch + 1 >= (self.params or {}).get("epochs", 0)
        late = any_worker(
            self.model.distribute_strategy, next_end > self._seconds
        )
        if late and not last:
            self._stopped_after = epoch + 1
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._stopped_after:
            print(
                f"Stopped after epoch {self._stopped_after}: another would "
                f"end later than {self._seconds / 60:g} minutes from the "
                "start. Go on with --resume."
            )
