"""The classes of labelled images."""

from typing import NamedTuple

import numpy as np

from kgpm.data.image_set import ImageSet
from kgpm.errors import UserError


class Classes(NamedTuple):
    """Which images are of one class, the classes numbered from 0.

    Attributes:
        of_image: the class of each image, int32 `[N]`.
        counts: images of each class, int32 `[K]`.
    """

    of_image: np.ndarray
    counts: np.ndarray


def classes_of(image_set: ImageSet, argument: str, wanted: int) -> Classes:
    """The classes of a set, of which so many are wanted at a time.

    Args:
        image_set: the images.
        argument: name of the argument that wants them.
        wanted: its value.

    Raises:
        UserError: the images have no labels, or not so many classes.
    """
    where = f"{image_set.name} {image_set.split}"
    if image_set.labels is None:
        raise UserError(
            f"Expected images with labels for {argument}, received {where} "
            "without; pass pairs (image, label) or leave the classes out."
        )
    _, of_image, counts = np.unique(
        image_set.labels, return_inverse=True, return_counts=True
    )
    if wanted > len(counts):
        raise UserError(
            f"Expected {argument} to be at most the {len(counts)} classes of "
            f"{where}, received {wanted}; lower it."
        )
    return Classes(of_image.astype(np.int32), counts.astype(np.int32))
