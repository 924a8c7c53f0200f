"""Trains a generative memory model on episodes of images and evaluates it.

Example:

    python -m kgpm.train --flagfile=configs/digits.cfg --model_dir=runs/digits
"""

import contextlib
import os
import sys

from kgpm.cli import flags
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags
from kgpm.cli.workers import cluster_of
from kgpm.cli.workers import refusal_told
from kgpm.training.run_directory import RunDirectory


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define(values, *flags.TRAINING)


def check(values: flags.FlagValues) -> None:
    """Refuses a `--model_dir` at once; takes a resumed run's flags from it.

    The first worker alone needs the directory; those of the others are
    compared with its flags.
    """
    cluster = cluster_of(values)
    run_directory = RunDirectory(values.model_dir)
    with refusal_told(cluster, values.worker_timeout):
        if cluster.rank == 0:
            run_directory.check(values.resume)
        if values.resume and run_directory.flags.is_file():
            apply_run_flags(values)
        # Once more outside, but here the others are told.
        flags.check_effects(values)
    if cluster.several:
        # What native code writes of a lost worker; a sentence says it too.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        # gRPC's level becomes that of TensorFlow's log.
        os.environ["GRPC_VERBOSITY"] = "NONE"


def main(values: flags.FlagValues) -> None:
    """Trains, evaluates the best checkpoint and says what lies where.

    The first worker speaks for all.
    """
    # Imported here so that --help does not wait for TensorFlow.
    from kgpm.cli import training_job
    from kgpm.training.workers.strategy import lost_workers_named

    cluster = cluster_of(values)
    with contextlib.ExitStack() as stack:
        if cluster.rank > 0:
            silence = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        with lost_workers_named(cluster, values.worker_timeout):
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
