"""The images that the flags name, and their episodes."""

from typing import Any

from kgpm import data
from kgpm.cli import flags


def load_split(values: flags.FlagValues, split: str) -> data.ImageSet:
    """Loads a split of the data set that the flags name.

    Args:
        values: flags with the data group.
        split: `"train"`, `"validation"` or `"test"`.
    """
    return data.load_images(
        values.dataset,
        split,
        image_size=values.image_size,
        channels=values.channels,
        binarize=values.binarize,
        seed=values.seed,
        data_dir=values.data_dir,
        download=values.download,
    )


def evaluation_batches(
    values: flags.FlagValues, images: data.ImageSet, batch_size: int
) -> Any:
    """Every image of a split once, in episodes of `--episode_length`.

    Args:
        values: flags with the data group.
        images: the split.
        batch_size: episodes in a batch.
    """
    return data.episodes(
        images,
        episode_length=values.episode_length,
        batch_size=batch_size,
        classes_per_episode=values.classes_per_episode or None,
        shuffle=False,
        seed=values.seed,
    )
