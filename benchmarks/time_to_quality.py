"""Minutes of training until figure A of the validation split is low enough.

    python -m benchmarks.time_to_quality --targets 25.68 10 -- \\
        --flagfile=configs/slot_vae_omniglot.cfg --data_dir=../shared/data/tfds

Trains as `kgpm.train` does, with all that follows `--` as its flags, scores A
after each epoch with the averaged weights, and stops when the last target is
reached. The clock runs in the training steps alone: the scores, and what
`kgpm.train` writes, come on top. A row an epoch, then the minutes to each
target; `--plot` draws the learning curve.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from benchmarks import processor  # noqa: E402
from benchmarks import timing  # noqa: E402
from kgpm import ops  # noqa: E402
from kgpm.cli import main as program  # noqa: E402
from kgpm.cli import training_job  # noqa: E402
from kgpm.evaluation.batches import unpack  # noqa: E402
from kgpm.pictures.drawing import line_plot  # noqa: E402
from kgpm.pictures.line_panel import Panel  # noqa: E402
from kgpm.training.callbacks.averaged_weights import averaged_weights  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--targets", type=float, nargs="+", required=True, help="nats, of A")
    add("--csv", help="where a row an epoch goes")
    add("--plot", help="where the learning curve goes, a PNG")
    add("flags", nargs="+", help="of kgpm.train, after --")
    return parser.parse_args()


class Curve(keras.callbacks.Callback):
    """Figure A of the validation split and the seconds of training so far.

    Attributes:
        rows: `(epoch, seconds, A)` of each epoch.
    """

    def __init__(self, batches: Any, last: float) -> None:
        super().__init__()
        self.rows: list[tuple[int, float, float]] = []
        self._batches = batches
        self._last = last
        self._seconds = 0.0
        self._terms: Any = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._seconds += time.perf_counter() - self._started
        with averaged_weights(self.model):
            figure = self._score()
        self.rows.append((epoch + 1, self._seconds, figure))
        print(f"{epoch + 1:5d}  {self._seconds:8.0f} s  {figure:8.2f}")
        if figure < self._last:
            self.model.stop_training = True

    def _score(self) -> float:
        if self._terms is None:
            self._terms = tf.function(self.model.bound_terms)
        total, count = 0.0, 0
        for index, batch in enumerate(self._batches):
            images, weights = unpack(batch)
            seed = ops.fold_in(ops.make_seed(0), index)
            nelbo = ops.nelbo(self._terms(images, weights, seed))
            values = np.asarray(nelbo)[np.asarray(weights) > 0]
            total, count = total + values.sum(), count + len(values)
        return float(total / count)


def main() -> None:
    arguments = parse_arguments()
    targets = sorted(arguments.targets, reverse=True)
    with tempfile.TemporaryDirectory() as folder:
        values = program.training_flags(
            *arguments.flags, f"--model_dir={Path(folder) / 'run'}"
        )
        program.prepare(values)
        job = training_job.prepare_job(values)
        curve = Curve(job.validation, targets[-1])
        print(f"{processor.name()}\n{job.train.description}\n")
        print("epoch   training  A, nats")
        job.model.fit(
            training_job.training_batches(values, job),
            steps_per_epoch=job.steps_per_epoch,
            epochs=values.epochs,
            callbacks=[curve],
            shuffle=False,
            verbose=0,
        )
    print()
    timing.print_table(
        ("A below", "minutes", "epochs"),
        [
            (
                f"{target:g}",
                *next(
                    (
                        (f"{seconds / 60.0:.1f}", str(epoch))
                        for epoch, seconds, figure in curve.rows
                        if figure < target
                    ),
                    ("not reached", str(values.epochs)),
                ),
            )
            for target in targets
        ],
    )
    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("epoch", "seconds", "A"))
            writer.writerows(curve.rows)
    if arguments.plot:
        panel = Panel(
            x=[seconds / 60.0 for _, seconds, _ in curve.rows],
            x_label="minutes of training steps",
            y_label="A of the validation split, nats per image",
            curves={"A": [figure for _, _, figure in curve.rows]},
            levels={f"{target:g}": target for target in targets},
            log_y=True,
        )
        line_plot([panel], arguments.plot)


if __name__ == "__main__":
    main()
