"""Seeded variants of training episodes, as one pure function.

Nothing is interpolated: every pixel of a variant is a pixel of the image or
black, so a binary image stays one and strokes keep their width.
"""

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.ops import split_seed
from kgpm.ops import uniform

# The largest shift as a share of a side: 2 pixels of 28 or 32.
_SHIFT = 1 / 14


def augment(
    images: tf.Tensor, kinds: Sequence[str], seed: tf.Tensor
) -> tf.Tensor:
    """Mirrored, turned or shifted episodes.

    Args:
        images: `[B, T, H, W, C]`.
        kinds: any of `mirror` (left to right, half of the episodes), `turn`
            (by 0, 90, 180 or 270 degrees, square images) and `shift` (each
            way by up to a 14th of the side; black comes in). The first two
            are the same for all images of an episode, so that members of a
            class go on looking like each other; each image has a shift of its
            own.
        seed: `int32[2]`; the same seed gives the same variants.

    Raises:
        UserError: an unknown kind, or `turn` of images that are not square.
    """
    check_augmentations(kinds, images.shape[2:])
    for kind, own_seed in zip(
        AUGMENTATIONS, split_seed(seed, len(AUGMENTATIONS)), strict=True
    ):
        if kind in kinds:
            images = AUGMENTATIONS[kind](images, own_seed)
    return images


def check_augmentations(kinds: Sequence[str], image_shape: Sequence) -> None:
    """Checks that images of a shape `(H, W, C)` have such variants.

    Raises:
        UserError: if not.
    """
    for kind in kinds:
        check_choice("augmentations", kind, tuple(AUGMENTATIONS))
    height, width = image_shape[0], image_shape[1]
    if "turn" in kinds and height != width:
        raise UserError(
            "Expected square images for the augmentation 'turn', received "
            f"{height}x{width} pixels."
        )


def _mirror(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    chosen = uniform([tf.shape(images)[0], 1, 1, 1, 1], seed) < 0.5
    return tf.where(chosen, images[:, :, :, ::-1], images)


def _turn(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    # Of the group of four turns: a transposition and two mirrors.
    half_seed, quarter_seed = split_seed(seed, 2)
    shape = [tf.shape(images)[0], 1, 1, 1, 1]
    half = uniform(shape, half_seed) < 0.5
    quarter = uniform(shape, quarter_seed) < 0.5
    images = tf.where(half, images[:, :, ::-1, ::-1], images)
    turned = tf.transpose(images, [0, 1, 3, 2, 4])[:, :, ::-1]
    return tf.where(quarter, turned, images)


def _shift(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    for axis, own_seed in zip((2, 3), split_seed(seed, 2), strict=True):
        images = _shift_along(images, axis, own_seed)
    return images


def _shift_along(images: tf.Tensor, axis: int, seed: tf.Tensor) -> tf.Tensor:
    side = images.shape[axis]
    furthest = max(round(_SHIFT * side), 1)
    shape = tf.shape(images)
    pads = [[0, 0]] * 5
    pads[axis] = [furthest, furthest]
    padded = tf.reshape(
        tf.pad(images, pads),
        [-1, *(images.shape[a] + sum(pads[a]) for a in (2, 3, 4))],
    )
    drawn = uniform(shape[:1] * shape[1:2], seed) * (2 * furthest + 1)
    # The product can round up to the number of places itself.
    start = tf.minimum(tf.cast(drawn, tf.int32), 2 * furthest)
    places = start[:, tf.newaxis] + tf.range(side)
    shifted = tf.gather(padded, places, axis=axis - 1, batch_dims=1)
    return tf.reshape(shifted, shape)


AUGMENTATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "mirror": _mirror,
    "turn": _turn,
    "shift": _shift,
}
