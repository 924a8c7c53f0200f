"""What is around the training step: start, pictures, checkpoints, evaluation.

    python -m benchmarks.around_the_step
    python -m benchmarks.around_the_step -- --flagfile=configs/gpm_digits.cfg

First what a user waits for: the import of the package, `--help`, and
`kgpm.train` from Enter to the end of its first step, each in a process of its
own, medians of several. Then a small run, by default the README's main job,
with a clock around its steps, its callbacks and its evaluation. All that
follows `--` are flags of `kgpm.train`. Seconds of the clock, and those of the
processor, which other programs on the machine move less.
"""

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import keras  # noqa: E402

from benchmarks import processor  # noqa: E402
from benchmarks import timing  # noqa: E402
from kgpm.cli import main as program  # noqa: E402
from kgpm.cli import training_job  # noqa: E402
from kgpm.cli.training_callbacks import training_callbacks  # noqa: E402

MAIN_JOB = ("--flagfile=configs/digits.cfg",)
HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_end",
    "on_epoch_end",
    "on_train_end",
)
# Of the run, in the order of the table; what is in no group is "the rest".
GROUPS = {
    "ImageLogger": "pictures and projector",
    "MemoryProjector": "pictures and projector",
    "ScalarLogger": "TensorBoard scalars",
    "KerasCallback": "TensorBoard scalars",
    "_CountingFromOne": "TensorBoard scalars",
    "Checkpoint": "checkpoints and backup",
}
STEPS, VALIDATION, REST = "training steps", "validation", "other callbacks"
PICTURES = ("pictures and projector", "TensorBoard scalars")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="of each start")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    add("flags", nargs="*", default=MAIN_JOB, help="of kgpm.train, after --")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 1
        arguments.flags = [
            *MAIN_JOB,
            "--epochs=2",
            "--warmup_epochs=0",
            "--steps_per_epoch=2",
            "--num_importance_samples=2",
        ]
    return arguments


class Clock:
    """Adds up seconds, of the clock and of the processor, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Times the block."""
        before = (time.perf_counter(), time.process_time())
        yield
        after = (time.perf_counter(), time.process_time())
        total = self.seconds.setdefault(name, [0.0, 0.0])
        for index in range(2):
            total[index] += after[index] - before[index]

    def watch(self, callback: Any) -> Any:
        """Times a callback's own hooks."""
        name = GROUPS.get(type(callback).__name__, REST)
        for hook in HOOKS:
            default = getattr(keras.callbacks.Callback, hook)
            if getattr(type(callback), hook) is not default:
                setattr(callback, hook, self._timed(name, callback, hook))
        return callback

    def _timed(self, name: str, callback: Any, hook: str) -> Callable:
        method = getattr(callback, hook)

        def timed(*arguments: Any, **options: Any) -> None:
            with self.of(name):
                method(*arguments, **options)

        return timed


class Ends(keras.callbacks.Callback):
    """The end of the first step ends the process."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        os._exit(0)


class Phases(keras.callbacks.Callback):
    """Times steps and validation, between the other callbacks."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._running: Any = None

    def _switch(self, name: str | None) -> None:
        if self._running is not None:
            self._running.__exit__(None, None, None)
        self._running = self._clock.of(name) if name else None
        if self._running is not None:
            self._running.__enter__()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._switch(STEPS)

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._switch(VALIDATION)

    def on_test_end(self, logs: dict | None = None) -> None:
        self._switch(None)


def prepare(flags: Sequence[str], folder: str) -> tuple[Any, Any]:
    """Flags and a job of `kgpm.train` that writes into a folder."""
    run = Path(folder) / "run"
    values = program.training_flags(*flags, f"--model_dir={run}")
    program.prepare(values)
    return values, training_job.prepare_job(values)


def fit(values: Any, job: Any, callbacks: Sequence[Any]) -> None:
    job.model.fit(
        training_job.training_batches(values, job),
        validation_data=job.validation,
        steps_per_epoch=job.steps_per_epoch,
        epochs=values.epochs,
        callbacks=list(callbacks),
        shuffle=False,
        verbose=0,
    )


def first_step(folder: str, *flags: str) -> None:
    """All that `kgpm.train` does until its first step is done."""
    values, job = prepare(flags, folder)
    fit(values, job, [*training_callbacks(values, job), Ends()])


def start(arguments: Sequence[str], rounds: int) -> tuple[float, float]:
    """Seconds of a Python process from start to end, and its processor's."""
    found = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(
            (
                seconds,
                after.ru_utime
                + after.ru_stime
                - before.ru_utime
                - before.ru_stime,
            )
        )
    wall, used = zip(*found, strict=True)
    return statistics.median(wall), statistics.median(used)


def main() -> None:
    arguments = parse_arguments()
    rounds, flags = arguments.rounds, list(arguments.flags)
    print(f"{processor.name()}; kgpm.train {' '.join(flags)}\n")
    with tempfile.TemporaryDirectory() as folder:
        child = (
            "import sys, tempfile; from benchmarks import around_the_step;"
            "folder, *flags = sys.argv[1:];"
            "around_the_step.first_step(tempfile.mkdtemp(dir=folder), *flags)"
        )
        starts = {
            "import kgpm": start(["-c", "import kgpm"], rounds),
            "python -m kgpm.train --help": start(
                ["-m", "kgpm.train", "--help"], rounds
            ),
            "from Enter to the first step": start(
                ["-c", child, folder, *flags], rounds
            ),
        }
        clock = Clock()
        with clock.of("preparation"):
            values, job = prepare(flags, folder)
        callbacks = map(clock.watch, training_callbacks(values, job))
        with clock.of("training in all"):
            fit(values, job, [*callbacks, Phases(clock)])
        with clock.of("evaluation"), redirect_stdout(io.StringIO()):
            training_job.report(values, job)
    rows = {
        name: clock.seconds.get(name, [0.0, 0.0])
        for name in (
            STEPS,
            VALIDATION,
            *dict.fromkeys(GROUPS.values()),
            REST,
            "training in all",
            "evaluation",
        )
    }
    training = rows["training in all"]
    timing.print_table(
        ("start", "seconds", "of the processor"),
        [
            (name, f"{wall:.2f}", f"{used:.2f}")
            for name, (wall, used) in starts.items()
        ],
    )
    timing.print_table(
        (
            f"run of {values.epochs} epochs",
            "seconds",
            "of the processor",
            "share of training",
        ),
        [
            (name, f"{wall:.2f}", f"{used:.2f}", f"{used / training[1]:.1%}")
            for name, (wall, used) in rows.items()
        ],
    )
    beside = [sum(rows[name][i] for name in PICTURES) for i in range(2)]
    timing.print_table(
        ("ratio", "of seconds", "of the processor's"),
        [
            (
                name,
                *(f"{part[i] / training[i]:.3f}" for i in range(2)),
            )
            for name, part in (
                ("evaluation : training", rows["evaluation"]),
                ("pictures and TensorBoard : training", beside),
            )
        ],
    )


if __name__ == "__main__":
    main()
