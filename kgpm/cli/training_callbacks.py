"""What happens beside the steps of a training."""

import sys
from typing import Any

import keras

from kgpm.cli import flags
from kgpm.data import get_corruption
from kgpm.data import make_corruption
from kgpm.evaluation.retrieval import is_binary
from kgpm.training.callbacks.averaged_weights import AveragedWeights
from kgpm.training.callbacks.checkpoint import Checkpoint
from kgpm.training.callbacks.image_logger import ImageLogger
from kgpm.training.callbacks.memory_projector import MemoryProjector
from kgpm.training.callbacks.metrics_csv import metrics_csv
from kgpm.training.callbacks.progress_bar import ProgressBar
from kgpm.training.callbacks.stop_on_nan import StopOnNaN
from kgpm.training.callbacks.tensorboard import tensorboard_callbacks
from kgpm.training.callbacks.throughput import Throughput
from kgpm.training.callbacks.time_limit import TimeLimit

# What the denoising pictures in TensorBoard are corrupted with.
_LOGGED_NOISE = "salt_and_pepper"


def training_callbacks(
    values: flags.FlagValues, job: Any
) -> list[keras.callbacks.Callback]:
    """All callbacks, in the order that they need.

    A loss that is not finite must stop everything that saves; speed and rate
    must be in the logs before they are written; the checkpoint comes after
    what it makes final. Workers other than the first have those alone that
    train and decide, in the same order: they write nothing.

    Args:
        values: the flags of `kgpm.train`.
        job: a `TrainingJob`.
    """
    if not job.writes:
        return [
            StopOnNaN(),
            AveragedWeights(),
            *_deciding_callbacks(values, job),
        ]
    hyperparameters = {
        name: value
        for group in ("data", "model", "optimisation")
        for name, value in flags.effective_values(values, group).items()
        if name not in ("data_dir", "download")
    }
    hyperparameters["seed"] = values.seed
    figures = [job.model.monitor, "nelbo", *job.model.term_names]
    figures = list(dict.fromkeys(figures))
    return [
        StopOnNaN(),
        AveragedWeights(),
        Throughput(values.batch_size * values.episode_length),
        *tensorboard_callbacks(job.run, hyperparameters, figures),
        *_picture_callbacks(values, job),
        metrics_csv(job.run.metrics_csv, job.progress.epoch),
        *_deciding_callbacks(values, job),
        *([ProgressBar(figures)] if verbosity(values.verbose) == 1 else []),
    ]


def _deciding_callbacks(
    values: flags.FlagValues, job: Any
) -> list[keras.callbacks.Callback]:
    run = job.run if job.writes else None
    callbacks: list[keras.callbacks.Callback] = [
        Checkpoint(run, job.progress, values.patience)
    ]
    if values.max_minutes is not None:
        callbacks.append(TimeLimit(values.max_minutes))
    return callbacks


def _picture_callbacks(
    values: flags.FlagValues, job: Any
) -> list[keras.callbacks.Callback]:
    if not values.log_images_every:
        return []
    episode = next(iter(job.validation))["images"][0]
    level = get_corruption(_LOGGED_NOISE).level_of(job.train.image_shape)
    corrupt = make_corruption(
        _LOGGED_NOISE, level.default, binary=is_binary(job.model)
    )
    callbacks: list[keras.callbacks.Callback] = [
        ImageLogger(
            job.run.logs / "images",
            episode,
            corrupt,
            every=values.log_images_every,
            seed=values.seed,
        )
    ]
    if job.model.memory.stores:
        callbacks.append(
            MemoryProjector(job.run.logs, episode, seed=values.seed)
        )
    return callbacks


def verbosity(verbose: str) -> int:
    """Keras's number for `--verbose`."""
    # Keras's own "auto" draws its bar into files and pipes too.
    if verbose == "auto":
        return 1 if sys.stdout.isatty() else 2
    return int(verbose)
