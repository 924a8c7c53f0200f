"""Images of a folder: PNG, JPEG, BMP or GIF files."""

import os
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.data.image_set import ImageSet
from kgpm.data.preprocessing import Target
from kgpm.data.preprocessing import collect
from kgpm.data.preprocessing import transform
from kgpm.data.sources import SOURCES
from kgpm.data.sources import SPLITS
from kgpm.data.sources import Request
from kgpm.data.splits import permutation
from kgpm.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_BATCH = 256


def is_folder(source: Any) -> bool:
    """Whether a source is a folder, and not called like a data set."""
    return (
        isinstance(source, str)
        and source not in SOURCES
        and os.path.isdir(source)
    )


def check_path(name: str) -> None:
    """Raises a `UserError` for a name that is written as a path."""
    looks_like_path = (
        os.path.isabs(name) or os.sep in name or name.startswith((".", "~"))
    )
    # A data set's own name may hold a slash: a near miss is no path.
    known_start = name.split("/")[0] in {key.split("/")[0] for key in SOURCES}
    if looks_like_path and not known_start:
        raise UserError(
            f"Expected a folder of images, but {name} does not exist or is "
            "not a folder; check the path."
        )


def load_folder(folder: str, request: Request) -> ImageSet:
    """Loads the images under `folder/<split>`, or a share of `folder`.

    If `folder` has none of the sub-folders train, validation and test, its
    images are split 80/10/10, always in the same way. With a `train` but no
    `validation` sub-folder, a tenth of train validates. Without a size all
    images must have the same; without channels the first image decides.

    Raises:
        UserError: no image, a broken one, or images of several sizes.
    """
    root, split = pathlib.Path(folder), request.split
    files = _split_files(root, split)
    # The first of all splits, so that every split gets the same shape.
    first = _decode_first(_list_files(root)[0])
    height, width = request.size or first.shape[:2]
    target = Target(height, width, request.channels or first.shape[-1])
    images = _read(files, target, any_size=request.size is not None)
    name = root.resolve().name or folder
    return ImageSet.described(images, None, name, split, f"from {folder}")


def _split_files(root: pathlib.Path, split: str) -> list[str]:
    present = [name for name in SPLITS if (root / name).is_dir()]
    if split in present:
        if split == "train" and "validation" not in present:
            return _shares(_list_files(root / "train"), split)
        return _list_files(root / split)
    if split == "validation" and "train" in present:
        return _shares(_list_files(root / "train"), split)
    if present:
        raise UserError(
            f"Expected a sub-folder {split!r} in {root}, found only "
            f"{', '.join(present)}; add it or put all images into one folder."
        )
    return _shares(_list_files(root), split, percent_test=10)


def _shares(
    files: list[str],
    split: str,
    percent_validation: int = 10,
    percent_test: int = 0,
) -> list[str]:
    """The part of the files that belongs to a split."""
    order = permutation(len(files))
    # Validation and test come first in the order and train takes the rest, so
    # that rounding never leaves train empty.
    num_validation = _share(len(files), percent_validation)
    num_held_out = num_validation + _share(len(files), percent_test)
    chosen = {
        "train": order[num_held_out:],
        "validation": order[:num_validation],
        "test": order[num_validation:num_held_out],
    }[split]
    if not len(chosen):
        raise UserError(
            f"Expected enough images for a {split} split, received "
            f"{len(files)} images in all; add images or sub-folders "
            "train, validation, test."
        )
    return [files[index] for index in np.sort(chosen)]


def _share(num: int, percent: int) -> int:
    """That share of `num`, but at least one item if there is to be any."""
    return max(num * percent // 100, min(percent, 1))


def _list_files(folder: pathlib.Path) -> list[str]:
    files = sorted(
        str(path)
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not files:
        raise UserError(
            f"Expected images ({', '.join(SUFFIXES)}) in {folder}, found "
            "none; check the path."
        )
    return files


def _decode(path: tf.Tensor) -> tf.Tensor:
    """Decodes any file into uint8 `[H, W, 1 | 3]`, opaque."""
    image = tf.io.decode_image(tf.io.read_file(path), expand_animations=False)
    image.set_shape([None, None, None])
    depth = tf.shape(image)[-1]
    # Two channels are grey with alpha, four are RGB with alpha.
    return tf.cond(depth >= 3, lambda: image[..., :3], lambda: image[..., :1])


def _decode_first(path: str) -> tf.Tensor:
    try:
        return _decode(tf.constant(path))
    except tf.errors.OpError as error:
        raise _corrupt(path) from error


def _corrupt(path: str) -> UserError:
    return UserError(
        f"Expected an image, but {path} cannot be decoded; repair or remove "
        "that file."
    )


def _read(files: list[str], target: Target, any_size: bool) -> np.ndarray:
    def load(path: tf.Tensor) -> dict:
        image = _decode(path)
        if not any_size:
            tf.debugging.assert_equal(
                tf.shape(image)[:2], [target.height, target.width]
            )
        image = tf.cond(
            tf.shape(image)[-1] == 3,
            lambda: image,
            lambda: tf.image.grayscale_to_rgb(image[..., :1]),
        )
        image.set_shape([None, None, 3])
        image = transform(image, target)
        image.set_shape([target.height, target.width, target.channels])
        return {"image": image}

    dataset = (
        tf.data.Dataset.from_tensor_slices(files)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(_BATCH)
        .prefetch(2)
    )
    try:
        return collect(dataset, len(files), target, "Reading the folder")[0]
    except tf.errors.OpError as error:
        raise _explain(files, target) from error


def _explain(files: list[str], target: Target) -> UserError:
    """Finds the file at fault, which tf.data does not name."""
    for path in files:
        try:
            shape = _decode(tf.constant(path)).shape
        except tf.errors.OpError:
            return _corrupt(path)
        if tuple(shape[:2]) != (target.height, target.width):
            return UserError(
                "Expected images of one size or an image_size, but "
                f"{files[0]} has {target.height}x{target.width} pixels and "
                f"{path} has {shape[0]}x{shape[1]}; pass --image_size."
            )
    return UserError(
        f"Expected images that can be read, but reading {len(files)} files "
        "failed; check that nothing changes them meanwhile."
    )
