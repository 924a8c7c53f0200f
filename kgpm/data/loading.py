"""One function that turns any source of images into an `ImageSet`."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.data import array_source
from kgpm.data import folder_source
from kgpm.data import omniglot_burda
from kgpm.data.image_set import ImageSet
from kgpm.data.preprocessing import Target
from kgpm.data.preprocessing import binarize_images
from kgpm.data.sources import BINARIZATIONS
from kgpm.data.sources import DIGITS
from kgpm.data.sources import OMNIGLOT_BURDA
from kgpm.data.sources import SPLITS
from kgpm.data.sources import Source
from kgpm.data.sources import check_choice
from kgpm.data.sources import get_source
from kgpm.data.splits import split_off
from kgpm.data.splits import split_off_classes
from kgpm.data.splits import validation_size
from kgpm.data.tfds_source import TFDSReader
from kgpm.errors import UserError


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
    check_choice("binarization", binarize, BINARIZATIONS)
    if channels not in (None, 1, 3):
        raise UserError(
            f"Expected channels to be 1 (grey) or 3 (RGB), got {channels!r}; "
            "leave it out to keep what the images have."
        )
    size = _check_image_size(image_size)
    if isinstance(source, (str, os.PathLike)):
        name = os.path.expanduser(os.fspath(source))
        loaded = _load_named(name, split, size, channels, data_dir, download)
    elif isinstance(source, tf.data.Dataset):
        loaded = array_source.load_dataset(source, split, size, channels)
    elif hasattr(source, "__array__"):
        loaded = array_source.load_array(source, split, size, channels)
    else:
        raise UserError(
            "Expected a data set's name, a folder, a NumPy array or a "
            f"tf.data.Dataset, got {type(source).__name__}; convert it first."
        )
    if not len(loaded):
        raise UserError(
            f"Expected images in the {split} split of {loaded.name}, but it "
            "has too few images for one; use another split or more images."
        )
    return _binarize(loaded, binarize, seed)


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
            f"(height, width), got {image_size!r}."
        )
    return int(pair[0]), int(pair[1])


def _load_named(
    name: str,
    split: str,
    size: tuple[int, int] | None,
    channels: int | None,
    data_dir: str | None,
    download: bool,
) -> ImageSet:
    if folder_source.is_folder(name):
        return folder_source.load_folder(name, split, size, channels)
    facts = get_source(name)
    height, width = size or (facts.image_size, facts.image_size)
    target = Target(
        height,
        width,
        channels or facts.channels,
        invert=facts.invert,
        binary_codes=facts.binary_codes,
        nearest=facts.nearest,
    )
    if name == DIGITS:
        return array_source.load_digits(split, target, facts.note)
    if name == OMNIGLOT_BURDA:
        return omniglot_burda.load(split, target, facts, data_dir, download)
    return _load_tfds(name, facts, split, target, data_dir, download)


def _load_tfds(
    name: str,
    facts: Source,
    split: str,
    target: Target,
    data_dir: str | None,
    download: bool,
) -> ImageSet:
    reader = TFDSReader(str(facts.tfds_name), data_dir, download)
    native = {
        "train": "train",
        "validation": facts.validation or "train",
        "test": facts.test,
    }[split]
    # Whether train and validation are two parts of the source's train split.
    divided = split != "test" and facts.validation is None
    if divided and facts.num_validation_classes is not None:
        images, labels = reader.read([(native, None)], target)
        # A source of which classes are held out has labels.
        labels = np.asarray(labels)
        num = len(np.unique(labels))
        held_out = validation_size(num, facts.num_validation_classes)
        kept = split_off_classes(labels, held_out, split, "validation")
        images, labels = images[kept], labels[kept]
        part = f"{held_out} whole classes"
    else:
        indices = None
        if divided:
            num = reader.num_images(native)
            held_out = validation_size(num, facts.num_validation)
            indices = split_off(num, held_out, split, "validation")
        images, labels = reader.read([(native, indices)], target)
        part = "a seeded part"
    note = f", {facts.note}" if facts.note else ""
    description = (
        f"{name} {split}: {len(images):,} images {target.height}x"
        f"{target.width}x{target.channels}{note}"
    )
    if divided:
        description += f", validation is {part} of train"
    return ImageSet(images, labels, name, split, description)


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
