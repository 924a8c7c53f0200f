"""Episodes of images: `[B, T, H, W, C]` batches from an `ImageSet`."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kgpm.data.image_set import ImageSet
from kgpm.data.loading import load_images
from kgpm.data.sources import SPLIT_SEED
from kgpm.errors import UserError
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import uniform

_INT64_MAX = 2**63 - 1
_ORDER, _PIXELS = 0, 1


def num_batches(
    image_set: ImageSet,
    episode_length: int,
    batch_size: int,
    shuffle: bool,
) -> int:
    """How many batches one epoch of `episodes` has."""
    num = len(image_set)
    if shuffle and num >= episode_length * batch_size:
        return num // (episode_length * batch_size)
    return math.ceil(math.ceil(num / episode_length) / batch_size)


def episodes(
    source: Any,
    split: str = "train",
    episode_length: int = 32,
    batch_size: int = 32,
    *,
    shuffle: bool | None = None,
    repeat: bool = False,
    first_epoch: int = 0,
    seed: int = 0,
    image_size: int | Sequence[int] | None = None,
    channels: int | None = None,
    binarize: str = "none",
    data_dir: str | None = None,
    download: bool = False,
) -> tf.data.Dataset:
    """Batches of episodes, each of T different images of any class.

    Training (`shuffle=True`): each epoch puts all images into a new order and
    cuts it into episodes. If there are at least B * T images, the remainder
    that does not fill a batch is left out of that epoch, so that every batch
    has the same shape (the order changes, so every image is used); with fewer
    images there is one batch, of fewer episodes, whose last one is padded.

    Evaluation (`shuffle=False`): every image appears exactly once with weight
    1, in one fixed mixed order, whatever the seed. The last episode is padded
    with black images of weight 0; the last batch may hold fewer episodes.

    Args:
        source: an `ImageSet`, or what `load_images` takes.
        split: "train", "validation" or "test"; an `ImageSet` has its own.
        episode_length: T, images in an episode.
        batch_size: B, episodes in a batch.
        shuffle: `None` shuffles the train split only.
        repeat: `False` gives one epoch, in a new order each time it is
            iterated; `True` an endless stream of epochs.
        first_epoch: the epoch an endless stream starts with: the rest of the
            stream equals what one started at 0 gives after that many epochs.
        seed: seed of the orders and of dynamic binarisation.
        image_size: see `load_images`, as all that follow.
        channels: 1, 3 or `None`.
        binarize: "none", "threshold", "fixed" or "dynamic".
        data_dir: folder of prepared data sets.
        download: whether a missing data set may be downloaded.

    Returns:
        A `tf.data.Dataset` of `{"images": float32 [B, T, H, W, C] in [0, 1],
        "weights": float32 [B, T]}` of known cardinality.

    Raises:
        UserError: a wrong argument, or images that are missing or broken.
    """
    for name, value in (
        ("episode_length", episode_length),
        ("batch_size", batch_size),
    ):
        if _as_integer(name, value) < 1:
            raise UserError(f"Expected {name} to be at least 1, got {value}.")
    if _as_integer("first_epoch", first_epoch) < 0:
        raise UserError(
            f"Expected first_epoch to be at least 0, got {first_epoch}."
        )
    if first_epoch and not repeat:
        raise UserError(
            "Expected repeat=True with first_epoch, got repeat=False, whose "
            "epochs have no number; pass repeat=True."
        )
    if isinstance(source, ImageSet):
        options = {
            "image_size": image_size is not None,
            "channels": channels is not None,
            "binarize": binarize != "none",
        }
        for name, given in options.items():
            if given:
                raise UserError(
                    f"Expected no {name} with an ImageSet, whose images are "
                    "final; pass it to load_images."
                )
        image_set = source
    else:
        image_set = load_images(
            source,
            split,
            image_size=image_size,
            channels=channels,
            binarize=binarize,
            seed=seed,
            data_dir=data_dir,
            download=download,
        )
    if shuffle is None:
        shuffle = image_set.split == "train"
    return _build(
        image_set,
        episode_length,
        batch_size,
        bool(shuffle),
        repeat,
        first_epoch,
        seed,
    )


def _as_integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise UserError(
            f"Expected {name} to be an integer, got {value!r}."
        ) from None


def _build(
    image_set: ImageSet,
    episode_length: int,
    batch_size: int,
    shuffle: bool,
    repeat: bool,
    first_epoch: int,
    seed: int,
) -> tf.data.Dataset:
    total = num_batches(image_set, episode_length, batch_size, shuffle)
    num = len(image_set)
    num_episodes = math.ceil(num / episode_length)
    full = shuffle and num >= episode_length * batch_size
    if full:
        num_episodes = total * batch_size
    padded = num_episodes * episode_length > num
    # A GPU's memory is for the model: the whole data set stays on the host,
    # and so do the operations of the pipeline.
    with tf.device("/CPU:0"):
        images = tf.constant(image_set.images)
        base_seed = make_seed(seed)

        def order_of(epoch: tf.Tensor) -> tf.Tensor:
            """Image indices `[E, T]` of an epoch, -1 for padding."""
            if shuffle:
                order_seed = fold_in(fold_in(base_seed, _ORDER), epoch)
            else:
                order_seed = make_seed(SPLIT_SEED)
            order = tf.random.experimental.stateless_shuffle(
                tf.range(num), seed=order_seed
            )
            missing = num_episodes * episode_length - num
            if missing > 0:
                order = tf.pad(order, [[0, missing]], constant_values=-1)
            order = order[: num_episodes * episode_length]
            return tf.reshape(order, [num_episodes, episode_length])

        def batches_of(epoch: tf.Tensor) -> tf.data.Dataset:
            pixel_epoch = epoch if shuffle else tf.zeros_like(epoch)
            pixel_seed = fold_in(fold_in(base_seed, _PIXELS), pixel_epoch)
            return (
                tf.data.Dataset.from_tensor_slices(order_of(epoch))
                .batch(batch_size, drop_remainder=full)
                .enumerate()
                .map(lambda index, chosen: (fold_in(pixel_seed, index), chosen))
            )

        def gather(pixel_seed: tf.Tensor, chosen: tf.Tensor) -> dict:
            batch = tf.gather(images, tf.maximum(chosen, 0))
            batch = tf.cast(batch, tf.float32) / 255.0
            if image_set.dynamic:
                draw = uniform(tf.shape(batch), pixel_seed)
                batch = tf.cast(draw < batch, tf.float32)
            weights = tf.cast(chosen >= 0, tf.float32)
            if padded:
                batch *= weights[:, :, tf.newaxis, tf.newaxis, tf.newaxis]
            if num_episodes % batch_size == 0 or total == 1:
                size = min(batch_size, num_episodes)
                batch = tf.ensure_shape(batch, [size, *batch.shape[1:]])
                weights = tf.ensure_shape(weights, [size, *weights.shape[1:]])
            return {"images": batch, "weights": weights}

        if repeat:
            epochs = tf.data.Dataset.range(first_epoch, _INT64_MAX)
            cardinality = tf.data.INFINITE_CARDINALITY
        else:
            epochs = tf.data.Dataset.random(
                seed=seed, rerandomize_each_iteration=True
            ).take(1)
            cardinality = total
        return (
            epochs.flat_map(batches_of)
            .map(gather, num_parallel_calls=tf.data.AUTOTUNE)
            .apply(tf.data.experimental.assert_cardinality(cardinality))
            .prefetch(2)
        )
