"""`metrics.csv`: a row per epoch, without rows that a resumed run repeats."""

from pathlib import Path

import keras

from kgpm.files import write_text


def metrics_csv(path: Path, first_epoch: int) -> keras.callbacks.CSVLogger:
    """Returns the callback that writes the rows from `first_epoch` on.

    Rows of later epochs than the backup's are dropped: they are of epochs that
    will be trained again.

    Args:
        path: the file.
        first_epoch: epochs completed.

    Raises:
        OSError: if the file cannot be written.
    """
    kept: list[str] = []
    if first_epoch and path.is_file():
        header, *rows = path.read_text(encoding="utf-8").splitlines() or [""]
        kept = [header, *(row for row in rows if _epoch(row) <= first_epoch)]
    write_text(path, "".join(f"{line}\n" for line in kept))
    return _CountingFromOne(path, append=True)


class _CountingFromOne(keras.callbacks.CSVLogger):
    """Counts epochs as the printed progress and the checkpoints do."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        super().on_epoch_end(epoch + 1, logs)


def _epoch(row: str) -> float:
    # A row that was cut off when the process died belongs to no epoch.
    number = row.split(",", 1)[0]
    return int(number) if number.isdigit() else float("inf")
