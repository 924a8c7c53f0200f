"""Trains a generative memory model on episodes of images and evaluates it.

Example:

    python -m kgpm.train --flagfile=configs/digits.cfg --model_dir=runs/digits
"""

import sys

from kgpm.cli import flags
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags
from kgpm.training.run_directory import RunDirectory


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define_train_flags(values)


def check(values: flags.FlagValues) -> None:
    """Refuses a `--model_dir` at once; takes a resumed run's flags from it."""
    RunDirectory(values.model_dir).check(values.resume)
    if values.resume:
        apply_run_flags(values)


def main(values: flags.FlagValues) -> None:
    """Trains, evaluates the best checkpoint and says what lies where."""
    # Imported here so that --help does not wait for TensorFlow.
    from kgpm.cli import training_job

    job = training_job.prepare_job(values)
    training_job.fit(values, job)
    training_job.report(values, job)


if __name__ == "__main__":
    sys.exit(
        run(
            "kgpm.train",
            main,
            define_flags,
            __doc__,
            check=check,
        )
    )
