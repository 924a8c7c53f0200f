"""Adds the training speed and the learning rate to each epoch's logs."""

import time

import keras


class Throughput(keras.callbacks.Callback):
    """Adds `images_per_second` and `learning_rate` to the epoch's logs.

    The callbacks after it, the progress bar and the history then have them
    too. Time is that of the training steps alone, without the first of an
    epoch (it may trace the model) and without validation.

    Args:
        images_per_step: B times T.
    """

    def __init__(self, images_per_step: int) -> None:
        super().__init__()
        self._images_per_step = images_per_step
        self._started = 0.0
        self._ended = 0.0
        self._steps = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._started = time.perf_counter()
        self._steps = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._ended = time.perf_counter()
        if batch == 0:
            self._started = self._ended
        self._steps = batch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is None:
            return
        seconds = self._ended - self._started
        # An epoch of a single step leaves nothing to measure.
        logs["images_per_second"] = (
            self._steps * self._images_per_step / seconds if seconds else 0.0
        )
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs["learning_rate"] = float(rate)
