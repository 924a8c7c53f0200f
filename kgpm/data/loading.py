"""One function that turns any source of images into an `ImageSet`."""

import dataclasses
import os
from collections.abc import Callable
from collections.abc import Container
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kgpm.data import array_source
from kgpm.data import folder_source
from kgpm.data import omniglot_burda
from kgpm.data import tfds_source
from kgpm.data.image_set import ImageSet
from kgpm.data.preprocessing import binarize_images
from kgpm.data.sources import BINARIZATIONS
from kgpm.data.sources import DIGITS
from kgpm.data.sources import OMNIGLOT_BURDA
from kgpm.data.sources import SOURCES
from kgpm.data.sources import SPLITS
from kgpm.data.sources import Request
from kgpm.data.sources import get_source
from kgpm.errors import UserError
from kgpm.errors import check_choice


class Reader(NamedTuple):
    """One way to read images.

    Attributes:
        reads: whether it reads a source, of which a path is a string.
        read: from the source and a `Request` to the images.
    """

    reads: Callable[[Any], bool]
    read: Callable[[Any, Request], ImageSet]


def _named(names: Container[str]) -> Callable[[Any], bool]:
    return lambda source: isinstance(source, str) and source in names


# A source is read by the first that reads it.
READERS = [
    Reader(folder_source.is_folder, folder_source.load_folder),
    Reader(_named({DIGITS}), array_source.load_digits),
    Reader(_named({OMNIGLOT_BURDA}), omniglot_burda.load),
    Reader(_named(SOURCES), tfds_source.load),
    Reader(
        lambda source: isinstance(source, tf.data.Dataset),
        array_source.load_dataset,
    ),
    Reader(
        lambda source: hasattr(source, "__array__"), array_source.load_array
    ),
]


def load_images(
    source: Any,
    split: str = "train",
    *,
    image_size: int | Sequence[int] | None = None,
    channels: int | None = None,
    binarize: str = "none",
    seed: int = 0,
    data_dir: str | None = None,
    download: bool = False,
) -> ImageSet:
    """Loads one split of a data set into memory, as 8-bit images.

    Which images belong to "train", "validation" and "test" is fixed and does
    not depend on `seed`; validation images are never test images.

    Args:
        source: one of the names in `kgpm.data.SOURCES`; the path of a folder
            of images (`./mnist` for a folder called like a data set); a NumPy
            array `[N, H, W]` or `[N, H, W, C]`, uint8 or floats in [0, 1],
            which are kept with 8 bits; or a finite `tf.data.Dataset` of images,
            of dictionaries with "image" or of pairs (image, label). Arrays and
            `tf.data.Dataset`s are taken whole, `split` only names them.
        split: "train", "validation" or "test".
        image_size: height and width in pixels, or a pair of them; `None` takes
            the size the source is used at. Shrinking takes area means, growing
            is bilinear, except for a source of nearest pixels.
        channels: 1 for grey, 3 for RGB, `None` for what the source has.
        binarize: "none"; "threshold" (above 0.5); "fixed" (one Bernoulli draw,
            the same in every epoch); "dynamic" (a new draw each epoch in
            training, one fixed draw for validation and test).
        seed: seed of the draws.
        data_dir: folder of prepared data sets; `None` takes the environment
            variable `TFDS_DATA_DIR`.
        download: whether a missing data set may be downloaded.

    Returns:
        An `ImageSet`.

    Raises:
        UserError: a wrong argument, or images that are missing or broken.
    """
    check_choice("split", split, SPLITS)
    check_choice("binarize", binarize, BINARIZATIONS)
    if channels not in (None, 1, 3):
        raise UserError(
            "Expected channels to be 1 (grey) or 3 (RGB), received "
            f"{channels!r}; leave it out to keep what the images have."
        )
    size = _check_image_size(image_size)
    if isinstance(source, (str, os.PathLike)):
        source = os.path.expanduser(str(os.fspath(source)))
    request = Request(split, size, channels, data_dir, download)
    loaded = _reader_of(source).read(source, request)
    if not len(loaded):
        raise UserError(
            f"Expected images in the {split} split of {loaded.name}, but it "
            "has too few images for one; use another split or more images."
        )
    return _binarize(loaded, binarize, seed)


def _reader_of(source: Any) -> Reader:
    for reader in READERS:
        if reader.reads(source):
            return reader
    if isinstance(source, str):
        folder_source.check_path(source)
        get_source(source)
    raise UserError(
        "Expected a data set's name, a folder, a NumPy array or a "
        f"tf.data.Dataset, received {type(source).__name__}; convert it first."
    )


def _check_image_size(
    image_size: int | Sequence[int] | None,
) -> tuple[int, int] | None:
    if image_size is None:
        return None
    pair = (
        tuple(image_size)
        if isinstance(image_size, Sequence)
        else (image_size, image_size)
    )
    if len(pair) != 2 or any(
        not isinstance(side, (int, np.integer)) or side < 1 for side in pair
    ):
        raise UserError(
            "Expected image_size to be a positive number of pixels or a pair "
            f"(height, width), received {image_size!r}."
        )
    return int(pair[0]), int(pair[1])


def _binarize(loaded: ImageSet, method: str, seed: int) -> ImageSet:
    """Binarises; dynamic training images keep their grey levels."""
    if method == "none":
        return loaded
    images = loaded.images
    dynamic = method == "dynamic" and loaded.split == "train"
    if dynamic:
        text = "binarised anew each epoch"
    elif method == "threshold":
        images = binarize_images(images, "threshold", seed)
        text = "binarised at 0.5"
    else:
        # Splits that share a seed must not share their noise.
        split_seed = [seed & 0xFFFFFFFF, SPLITS.index(loaded.split)]
        images = binarize_images(images, "fixed", split_seed)
        text = f"binarised by one Bernoulli draw (seed {seed})"
    return dataclasses.replace(
        loaded,
        images=images,
        description=f"{loaded.description}, {text}",
        dynamic=dynamic,
    )
