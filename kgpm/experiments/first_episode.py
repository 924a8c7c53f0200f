"""A finished run's model and the first episode of a split."""

from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np

from kgpm.cli import flags
from kgpm.cli.images import evaluation_batches
from kgpm.cli.stored_run import open_run
from kgpm.errors import UserError
from kgpm.layers import KeyedMemory


class FirstEpisode(NamedTuple):
    """What most figures are drawn from.

    Attributes:
        model: the model of the run.
        images: `[T, H, W, C]`, written images.
        memory: the memory of these.
        name: of the data set.
        folder: where pictures go by default.
    """

    model: Any
    images: np.ndarray
    memory: Any
    name: str
    folder: Path


def open_first_episode(values: flags.FlagValues) -> FirstEpisode:
    """Opens the run of `--model_dir`, whose model must have keys.

    Raises:
        UserError: no run, or one of a model whose memory has no keys.
    """
    model, images = open_run(values)
    if not isinstance(model.memory, KeyedMemory):
        raise UserError(
            f"Expected a run of a model whose memory is read by keys (kpp, "
            f"kpp_dense), received one of {type(model).__name__}."
        )
    batch = next(iter(evaluation_batches(values, images, batch_size=1)))
    present = np.asarray(batch["weights"])[0] > 0
    episode = np.asarray(batch["images"])[0][present]
    return FirstEpisode(
        model,
        episode,
        model.write(episode[None]),
        images.label,
        Path(values.model_dir),
    )
