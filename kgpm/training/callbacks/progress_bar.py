"""A progress bar that fits the terminal."""

import shutil

import keras

# What Keras's bar of this width writes beside the figures: the count of
# steps, the time left and the time a step takes.
_BAR_WIDTH = 20
_BESIDE = 2 * 6 + _BAR_WIDTH + len(" 00:00:00 000ms/step ")


class ProgressBar(keras.callbacks.Callback):
    """A bar for each epoch, with as many figures as one line holds.

    A line that wraps cannot be overwritten, and a model's terms are many:
    while the epoch lasts, the bar shows the first of `names` that fit; the
    line that stays shows all figures.

    Args:
        names: figures in the order of their importance.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self._names = names
        self._bar: keras.utils.Progbar | None = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        print(f"Epoch {epoch + 1}/{self.params['epochs']}")
        self._bar = keras.utils.Progbar(
            self.params["steps"],
            width=_BAR_WIDTH,
            # Means of the epoch so far are the metrics' own.
            stateful_metrics=[*self._names, *(logs or {})],
        )

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._bar is not None:
            shown = self._fitting(logs or {})
            self._bar.update(batch + 1, shown, finalize=False)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self._bar is not None:
            logs = logs or {}
            self._bar.stateful_metrics.update(logs)
            self._bar.update(self.params["steps"], logs.items(), finalize=True)

    def _fitting(self, logs: dict) -> list[tuple[str, float]]:
        space = shutil.get_terminal_size().columns - _BESIDE
        shown = []
        for name in self._names:
            if name not in logs:
                continue
            space -= len(f" - {name}: {logs[name]:.4f}")
            if space < 0:
                break
            shown.append((name, logs[name]))
        return shown
