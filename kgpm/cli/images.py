"""The images that the flags name."""

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
