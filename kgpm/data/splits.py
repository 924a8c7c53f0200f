"""Which images of a data set train, validate and test: fixed for ever."""

import numpy as np

from kgpm.data.sources import SPLIT_SEED


def permutation(num: int) -> np.ndarray:
    """The package's fixed permutation of `num` items.

    `RandomState`, because NumPy keeps its stream the same for ever: a split
    must not change with the version of a library.
    """
    return np.random.RandomState(SPLIT_SEED).permutation(num)


def split_off(
    num: int, num_held_out: int, split: str, held_out: str
) -> np.ndarray:
    """Indices, ascending, of one of two parts of `num` items."""
    order = permutation(num)
    chosen = order[:num_held_out] if split == held_out else order[num_held_out:]
    return np.sort(chosen)


def split_off_classes(
    labels: np.ndarray, num_held_out: int, split: str, held_out: str
) -> np.ndarray:
    """Indices, ascending, of the images of one of two parts of the classes.

    Args:
        labels: class of each image, `[N]`.
        num_held_out: how many classes the held-out part has.
        split: the part wanted.
        held_out: name of the held-out part.
    """
    classes = np.unique(labels)
    chosen = split_off(len(classes), num_held_out, split, held_out)
    return np.flatnonzero(np.isin(labels, classes[chosen]))


def validation_size(num_train: int, num_validation: int | None) -> int:
    """How many of `num_train` images (or classes) validate.

    10%, at least one and at most 5,000, unless a source asks for its own
    number and has enough.
    """
    if num_validation is not None and num_train > 2 * num_validation:
        return num_validation
    return min(max(num_train // 10, 1), 5000)
