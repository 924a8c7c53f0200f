"""Images for the page: examples, files and drawings in a model's shape."""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.data import get_corruption
from kgpm.data import load_images
from kgpm.data import make_corruption
from kgpm.errors import UserError

NUM_EXAMPLES = 40
NO_CORRUPTION = "none"


def example_images(shape: Sequence[int], *, binary: bool) -> np.ndarray:
    """Handwritten digits that need no download, for grey models.

    Args:
        shape: `(H, W, C)`.
        binary: whether pixels are 0 or 1.

    Returns:
        `[N, H, W, C]` in [0, 1], none of them for a model of colours.
    """
    if shape[-1] != 1:
        return np.zeros((0, *shape), "float32")
    found = load_images("digits", "test", image_size=tuple(shape[:2]))
    return _pixels(found.images[:NUM_EXAMPLES], binary)


def images_of_files(
    paths: Sequence[str] | None,
    shape: Sequence[int],
    *,
    binary: bool,
    invert: bool = False,
) -> np.ndarray:
    """Images of files, stretched to a model's size.

    Args:
        paths: of PNG, JPEG, BMP or GIF files.
        shape: `(H, W, C)`.
        binary: whether pixels are 0 or 1: the threshold is one half.
        invert: whether dark and light change places.

    Returns:
        `[N, H, W, C]` in [0, 1].

    Raises:
        UserError: no file, or one that cannot be read as an image.
    """
    if not paths:
        raise UserError("Choose one or more image files first.")
    images = [_decode_file(Path(path)) for path in paths]
    fitted = np.concatenate([_fit(image, shape) for image in images])
    return _pixels(255 - fitted if invert else fitted, binary)


def image_of_drawing(
    data_url: Any, shape: Sequence[int], *, binary: bool
) -> np.ndarray:
    """The image of a sketch pad.

    Args:
        data_url: the pad's canvas, a PNG with transparent ground, or nothing.
        shape: `(H, W, C)`.
        binary: whether pixels are 0 or 1.

    Returns:
        `[1, H, W, C]` in [0, 1], the ground black.

    Raises:
        UserError: nothing is drawn.
    """
    _, _, text = str(data_url or "").partition(",")
    try:
        content = base64.b64decode(text, validate=True)
        drawn = tf.io.decode_png(content, channels=4).numpy()
    except (binascii.Error, tf.errors.OpError):
        drawn = np.zeros((1, 1, 4), np.uint8)
    if not drawn[..., 3].any():
        raise UserError("Nothing is drawn: draw on the black pad first.")
    opaque = drawn[..., :3] * (drawn[..., 3:] / 255.0)
    return _pixels(_fit(np.rint(opaque).astype(np.uint8), shape), binary)


def corrupt(
    images: np.ndarray, kind: str, level: float, seed: int, *, binary: bool
) -> np.ndarray:
    """Corrupted images.

    Args:
        images: `[N, H, W, C]`.
        kind: a key of `kgpm.data.CORRUPTIONS`, or `NO_CORRUPTION`.
        level: see `kgpm.data.corruptions`.
        seed: of the draws.
        binary: whether pixels are 0 or 1: the threshold is one half.

    Returns:
        `[N, H, W, C]` in [0, 1].

    Raises:
        UserError: an unknown kind or a level that it does not take.
    """
    if kind == NO_CORRUPTION:
        return images
    corruption = make_corruption(kind, level, binary=binary)
    found = corruption(tf.constant(images), seed).numpy()
    if binary and not get_corruption(kind).keeps_binary:
        return (found >= 0.5).astype("float32")
    return found


def _decode_file(path: Path) -> np.ndarray:
    try:
        content = tf.io.read_file(str(path))
        image = tf.io.decode_image(content, expand_animations=False).numpy()
    except tf.errors.OpError as error:
        raise UserError(
            f"{path.name} cannot be read as an image: choose PNG, JPEG, BMP "
            "or GIF files."
        ) from error
    # Two channels are grey with alpha, four are RGB with alpha.
    return image[..., : 3 if image.shape[-1] >= 3 else 1]


def _fit(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Any image as `uint8 [1, H, W, C]`."""
    height, width, channels = shape
    found = load_images(
        image[np.newaxis], image_size=(height, width), channels=channels
    )
    return found.images


def _pixels(images: np.ndarray, binary: bool) -> np.ndarray:
    if binary:
        return (images > 127).astype("float32")
    return images.astype("float32") / 255.0
