"""Seeded corruptions of query images, as pure functions.

Images are floats `[..., H, W, C]` in [0, 1]; every image is corrupted
independently, its channels together where a whole pixel is meant. The same
seed, an integer or a tensor `int32[2]`, always gives the same corruption.
"""

import math
from typing import Any

import tensorflow as tf

from kgpm.errors import UserError
from kgpm.ops import normal
from kgpm.ops import split_seed
from kgpm.ops import uniform


def salt_and_pepper(images: Any, fraction: float, seed: Any) -> tf.Tensor:
    """Sets pixels to 0 or 1, with equal chance.

    Of a binary image about half of the chosen pixels keep their value.

    Args:
        images: `[..., H, W, C]`.
        fraction: probability in [0, 1] that a pixel is chosen.
        seed: seed of the draws.
    """
    if not 0.0 <= fraction <= 1.0:
        raise UserError(
            "Expected the fraction of salt-and-pepper pixels to be in [0, 1], "
            f"received {fraction}."
        )
    images = _check_images(images)
    chosen_seed, value_seed = split_seed(seed, 2)
    shape = tf.concat([tf.shape(images)[:-1], [1]], 0)
    chosen = uniform(shape, chosen_seed) < fraction
    salt = tf.cast(uniform(shape, value_seed) < 0.5, images.dtype)
    return tf.where(chosen, salt, images)


def block(images: Any, size: int, seed: Any, value: float = 0.0) -> tf.Tensor:
    """Covers a square at a uniformly drawn position that lies in the image.

    Args:
        images: `[..., H, W, C]`.
        size: side of the square in pixels, at most the smaller side.
        seed: seed of the positions.
        value: what the square is filled with, 0 or 1 for binary images.
    """
    images = _check_images(images)
    height, width = images.shape[-3], images.shape[-2]
    if size != int(size) or not 0 <= size <= min(height, width):
        raise UserError(
            "Expected a block size of whole pixels between 0 and the smaller "
            f"side of the {height}x{width} images, received {size}."
        )
    if not 0.0 <= value <= 1.0:
        raise UserError(
            f"Expected the block's value to be in [0, 1], received {value}."
        )
    size = int(size)
    row_seed, column_seed = split_seed(seed, 2)
    lead = tf.shape(images)[:-3]
    rows = _covered(height, size, lead, row_seed)[..., :, tf.newaxis]
    columns = _covered(width, size, lead, column_seed)[..., tf.newaxis, :]
    covered = tf.logical_and(rows, columns)[..., tf.newaxis]
    return tf.where(covered, tf.cast(value, images.dtype), images)


def _covered(side: int, size: int, lead: tf.Tensor, seed: Any) -> tf.Tensor:
    """Marks `size` neighbours out of `side`, at a uniform place."""
    places = side - size + 1
    start = tf.cast(uniform(lead, seed) * places, tf.int32)
    # The product can round up to `places` itself.
    start = tf.minimum(start, places - 1)[..., tf.newaxis]
    position = tf.range(side)
    return tf.logical_and(position >= start, position < start + size)


def rotate(
    images: Any, max_degrees: float, seed: Any, binary: bool = False
) -> tf.Tensor:
    """Rotates about the centre by a uniform angle in [-a, a].

    Bilinear; what comes from outside of the image is 0.

    Args:
        images: `[..., H, W, C]`.
        max_degrees: a, in degrees.
        seed: seed of the angles.
        binary: whether to threshold the result at 0.5.
    """
    _check_level("largest angle", max_degrees)
    images = _check_images(images)
    lead = tf.shape(images)[:-3]
    degrees = (2.0 * uniform(lead, seed) - 1.0) * max_degrees
    return rotate_by(images, degrees, binary)


def rotate_by(images: Any, degrees: Any, binary: bool = False) -> tf.Tensor:
    """Rotates each image counter-clockwise about its centre by its angle.

    Args:
        images: `[..., H, W, C]`.
        degrees: `[...]`.
        binary: whether to threshold the result at 0.5.
    """
    images = _check_images(images)
    height, width, channels = images.shape[-3:]
    flat = tf.reshape(images, [-1, height, width, channels])
    angle = tf.cast(tf.reshape(degrees, [-1]), tf.float32) * (math.pi / 180.0)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    middle_x, middle_y = (width - 1) / 2.0, (height - 1) / 2.0
    # The operation maps output to input coordinates (x to the right, y down):
    # rotate about the origin, then shift so that the centre stays.
    shift_x = middle_x - cosine * middle_x + sine * middle_y
    shift_y = middle_y - sine * middle_x - cosine * middle_y
    zero = tf.zeros_like(angle)
    transforms = tf.stack(
        [cosine, -sine, shift_x, sine, cosine, shift_y, zero, zero], axis=-1
    )
    rotated = tf.raw_ops.ImageProjectiveTransformV3(
        images=flat,
        transforms=transforms,
        output_shape=[height, width],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
    if binary:
        rotated = tf.cast(rotated > 0.5, images.dtype)
    return tf.reshape(rotated, tf.shape(images))


def gaussian(images: Any, std: float, seed: Any) -> tf.Tensor:
    """Adds Gaussian noise, clipped to [0, 1].

    Args:
        images: `[..., H, W, C]`.
        std: standard deviation.
        seed: seed of the noise.
    """
    _check_level("standard deviation", std)
    images = _check_images(images)
    noise = std * _normal_like(images, seed)
    return tf.clip_by_value(images + noise, 0.0, 1.0)


def speckle(images: Any, std: float, seed: Any) -> tf.Tensor:
    """Multiplicative noise `x + x n` with Gaussian n, clipped to [0, 1].

    Args:
        images: `[..., H, W, C]`.
        std: standard deviation of n.
        seed: seed of the noise.
    """
    _check_level("standard deviation", std)
    images = _check_images(images)
    noise = std * _normal_like(images, seed)
    return tf.clip_by_value(images + images * noise, 0.0, 1.0)


def poisson(images: Any, peak: float, seed: Any) -> tf.Tensor:
    """Counts of photons with mean `peak * x`, over `peak`, clipped to [0, 1].

    Args:
        images: `[..., H, W, C]`.
        peak: mean count of a white pixel; the smaller, the noisier.
        seed: seed of the counts.
    """
    if not 0.0 < peak < math.inf:
        raise UserError(
            "Expected the peak of Poisson noise to be above 0, received "
            f"{peak}."
        )
    images = _check_images(images)
    pixel_seed, _ = split_seed(seed, 2)
    counts = tf.random.stateless_poisson(
        tf.shape(images), pixel_seed, lam=peak * images, dtype=images.dtype
    )
    return tf.clip_by_value(counts / peak, 0.0, 1.0)


def _normal_like(images: tf.Tensor, seed: Any) -> tf.Tensor:
    return normal(tf.shape(images), seed, dtype=images.dtype.name)


def _check_level(what: str, level: float) -> None:
    if not 0.0 <= level < math.inf:
        raise UserError(
            f"Expected the {what} to be at least 0, received {level}."
        )


def _check_images(images: Any) -> tf.Tensor:
    images = tf.convert_to_tensor(images)
    if not images.dtype.is_floating:
        raise UserError(
            "Expected float images in [0, 1] to corrupt, received "
            f"{images.dtype.name}; divide 8-bit images by 255."
        )
    rank = images.shape.rank
    if rank is not None and rank < 3:
        raise UserError(
            "Expected images [..., H, W, C] to corrupt, received shape "
            f"{images.shape}; add the missing axes."
        )
    return images
