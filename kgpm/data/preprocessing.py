"""Size, channels and binarisation of 8-bit images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kgpm.data.sources import Request
from kgpm.data.sources import Source
from kgpm.errors import UserError
from kgpm.ops import uniform

_BATCH = 256


class Target(NamedTuple):
    """What every image of a source is turned into."""

    height: int
    width: int
    channels: int
    invert: bool = False
    binary_codes: bool = False
    nearest: bool = False

    @classmethod
    def of(cls, facts: Source, request: Request) -> "Target":
        """What is asked for of a data set known by name."""
        height, width = request.size or (facts.image_size, facts.image_size)
        return cls(
            height,
            width,
            request.channels or facts.channels,
            invert=facts.invert,
            binary_codes=facts.binary_codes,
            nearest=facts.nearest,
        )


def convert_channels(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Turns float images `[..., H, W, 1 | 3]` grey or coloured."""
    received = images.shape[-1]
    if received == channels:
        return images
    if channels == 1:
        return tf.image.rgb_to_grayscale(images)
    return tf.image.grayscale_to_rgb(images)


def resize(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resizes float images `[..., H, W, C]`: area means when both sides shrink.

    Growing is bilinear. Where one side grows and the other shrinks, bilinear
    with anti-aliasing serves both.
    """
    shape = images.shape[-3:-1]
    if tuple(shape) == (height, width):
        return images
    if shape.is_fully_defined():
        shrinks = shape[0] >= height and shape[1] >= width
        return _resize_area(images, height, width, shrinks)
    size = tf.shape(images)[-3:-1]
    return tf.cond(
        tf.reduce_all(size >= [height, width]),
        lambda: _resize_area(images, height, width, True),
        lambda: _resize_area(images, height, width, False),
    )


def _resize_area(images, height, width, shrinks):
    if shrinks:
        return tf.image.resize(images, (height, width), method="area")
    return tf.image.resize(
        images, (height, width), method="bilinear", antialias=True
    )


def resize_nearest(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resizes images `[..., H, W, C]` to the pixels nearest to the new centres.

    Pixel i of `new` is the old one in which its centre `(i + 0.5) * old / new`
    lies, in exact integers: TensorFlow's resize takes the neighbour at sizes
    whose ratio float32 rounds.
    """
    for axis, new in ((-3, height), (-2, width)):
        old = tf.shape(images)[axis]
        nearest = (2 * tf.range(new) + 1) * old // (2 * new)
        images = tf.gather(images, nearest, axis=axis)
    return images


def transform(images: tf.Tensor, target: Target) -> tf.Tensor:
    """Turns 8-bit images `[..., h, w, c]` into uint8 ones of the target."""
    images = tf.cast(images, tf.float32)
    if target.binary_codes:
        images = tf.minimum(images * 255.0, 255.0)
    images = convert_channels(images, target.channels)
    if target.invert:
        images = 255.0 - images
    scale = resize_nearest if target.nearest else resize
    images = scale(images, target.height, target.width)
    images = tf.clip_by_value(tf.round(images), 0.0, 255.0)
    return tf.cast(images, tf.uint8)


def transform_array(images: np.ndarray, target: Target) -> np.ndarray:
    """`transform` for a whole uint8 array `[N, h, w, c]`, batch by batch."""
    target_shape = (target.height, target.width, target.channels)
    if images.shape[1:] == target_shape and not (
        target.invert or target.binary_codes
    ):
        return images
    result = np.empty((len(images), *target_shape), np.uint8)
    with tf.device("/CPU:0"):
        for start in range(0, len(images), _BATCH):
            batch = slice(start, start + _BATCH)
            result[batch] = transform(tf.constant(images[batch]), target)
    return result


def binarize_images(
    images: np.ndarray, method: str, seed: int | Sequence[int]
) -> np.ndarray:
    """Turns grey levels into 0 and 255.

    Args:
        images: uint8 `[N, H, W, C]`.
        method: "threshold" (above 0.5) or "fixed" (one Bernoulli draw with the
            grey value as probability).
        seed: seed of the draw, one or several integers.
    """
    if method == "threshold":
        return np.where(images > 127, np.uint8(255), np.uint8(0))
    generator = np.random.default_rng(seed)
    result = np.empty_like(images)
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        # An integer uniform on 0..254 is below k with probability k / 255.
        draw = generator.integers(0, 255, batch.shape, dtype=np.uint8)
        result[start : start + _BATCH] = np.where(draw < batch, 255, 0)
    return result


def gather_pixels(
    images: tf.Tensor, chosen: tf.Tensor, dynamic_seed: tf.Tensor | None
) -> tf.Tensor:
    """Chosen images as float32 in [0, 1], `[..., H, W, C]`.

    Args:
        images: uint8 `[N, H, W, C]`.
        chosen: their indices `[...]`; any image for a negative one.
        dynamic_seed: `int32[2]` draws binary images of which the pixels are
            the probabilities; `None` takes the pixels.
    """
    batch = tf.gather(images, tf.maximum(chosen, 0))
    batch = tf.cast(batch, tf.float32) / 255.0
    if dynamic_seed is None:
        return batch
    return tf.cast(uniform(tf.shape(batch), dynamic_seed) < batch, tf.float32)


def to_uint8(images: np.ndarray, what: str) -> np.ndarray:
    """Checks user images and turns them into uint8 `[N, H, W, C]`.

    Args:
        images: uint8, or floats (or booleans) in [0, 1], `[N, H, W]` or
            `[N, H, W, C]` with 1 or 3 channels.
        what: name of the images in messages.

    Raises:
        UserError: wrong rank, channels, type or range, NaN, or no image.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(
            f"Expected {what} of shape [N, H, W] or [N, H, W, 1 or 3], "
            f"received {list(images.shape)}; reshape them."
        )
    if 0 in images.shape:
        raise UserError(
            f"Expected {what} with at least one image, received the empty "
            f"shape {list(images.shape)}; pass some images."
        )
    if images.dtype == np.uint8:
        # A copy: what the caller does to the array later must not reach the
        # pipeline, which may share its memory.
        return images.copy()
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(images.dtype, np.floating):
        raise UserError(
            f"Expected {what} as uint8 or as floats in [0, 1], received "
            f"{images.dtype}; convert them first."
        )
    low, high = float(images.min()), float(images.max())
    if np.isnan(low):
        raise UserError(
            f"Expected {what} with values in [0, 1], received NaN pixels; "
            "remove or repair those images."
        )
    if low < 0.0 or high > 1.0:
        raise UserError(
            f"Expected {what} with values in [0, 1], received values from "
            f"{low:g} to {high:g}; divide by the largest value or pass uint8."
        )
    result = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        result[batch] = np.rint(images[batch] * 255.0)
    return result


def collect(
    dataset: tf.data.Dataset,
    num: int,
    target: Target,
    title: str,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Runs a pipeline of (images, labels) batches into arrays.

    On a terminal a bar tells how far it is, once it has taken a few seconds.

    Args:
        dataset: yields `{"image": uint8 [b, H, W, C]}`, maybe with "label".
        num: how many images it yields at most.
        target: shape of the images.
        title: what a bar calls the work.

    Returns:
        Images `[N, H, W, C]` and labels `[N]` or `None`.
    """
    shape = (num, target.height, target.width, target.channels)
    images = np.empty(shape, np.uint8)
    labels = None
    done = 0
    # `disable=None`: nothing at all where standard error is no terminal.
    with tqdm(
        total=num, desc=title, unit=" images", delay=3, disable=None
    ) as progress:
        for batch in dataset.as_numpy_iterator():
            size = len(batch["image"])
            images[done : done + size] = batch["image"]
            if "label" in batch:
                if labels is None:
                    labels = np.empty(num, np.int64)
                labels[done : done + size] = batch["label"]
            done += size
            progress.update(size)
    return images[:done], None if labels is None else labels[:done]
