"""Images that tell their number, and how to read it off a batch."""

import numpy as np

from kgpm.data import ImageSet


def numbered(num: int, split: str = "train", **options) -> ImageSet:
    """Images that all differ: image i spells i in base 200, plus 1."""
    index = np.arange(num)
    images = np.zeros((num, 2, 1, 1), np.uint8)
    images[:, 0, 0, 0] = index % 200 + 1
    images[:, 1, 0, 0] = index // 200 + 1
    options.setdefault("labels", None)
    return ImageSet(
        images, name="numbered", split=split, description="numbered", **options
    )


def labelled(counts, split: str = "train", **options) -> ImageSet:
    """Numbered images: `counts[k]` of class 7 k, in mixed order."""
    labels = np.repeat(7 * np.arange(len(counts)), counts)
    np.random.RandomState(0).shuffle(labels)
    return numbered(len(labels), split, labels=labels, **options)


def numbers(images) -> np.ndarray:
    """The number of each image of `[..., 2, 1, 1]`, -201 for a black one."""
    pixels = np.rint(np.asarray(images) * 255).astype(int)
    return pixels[..., 0, 0, 0] - 1 + 200 * (pixels[..., 1, 0, 0] - 1)


def indices(batch) -> np.ndarray:
    """The number of each image, -1 where the weight is 0."""
    return np.where(batch["weights"].numpy() > 0, numbers(batch["images"]), -1)


def epoch(dataset) -> np.ndarray:
    """The numbers of all images of a finite data set, in their order."""
    return np.concatenate([indices(batch).ravel() for batch in dataset])


def rows(dataset) -> np.ndarray:
    """The numbers `[E, T]` of all episodes, -1 where the weight is 0."""
    return np.concatenate([indices(batch) for batch in dataset])
