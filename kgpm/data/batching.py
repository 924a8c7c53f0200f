"""Episodes of images: `[B, T, H, W, C]` batches from an `ImageSet`."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kgpm.data.augmentation import augment
from kgpm.data.augmentation import check_augmentations
from kgpm.data.episode_orders import EpisodeOrder
from kgpm.data.episode_orders import order_by_class
from kgpm.data.episode_orders import order_of_any_class
from kgpm.data.image_set import ImageSet
from kgpm.data.loading import load_images
from kgpm.data.preprocessing import gather_pixels
from kgpm.data.sources import SPLIT_SEED
from kgpm.errors import check_count
from kgpm.errors import check_goes_with
from kgpm.ops import fold_in
from kgpm.ops import make_seed

_INT64_MAX = 2**63 - 1
_ORDER, _PIXELS = 0, 1


def num_batches(
    image_set: ImageSet,
    episode_length: int,
    batch_size: int,
    shuffle: bool,
    classes_per_episode: int | None = None,
) -> int:
    """How many batches one epoch of `episodes` has.

    Raises:
        UserError: the images cannot be put into such episodes.
    """
    _check_counts(episode_length, batch_size, classes_per_episode)
    order = _order(
        image_set, episode_length, batch_size, shuffle, classes_per_episode
    )
    return math.ceil(order.num_episodes / batch_size)


def episodes(
    source: Any,
    split: str = "train",
    episode_length: int = 32,
    batch_size: int = 32,
    *,
    classes_per_episode: int | None = None,
    augmentations: Sequence[str] = (),
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
    """Batches of episodes, each of T different images.

    Training (`shuffle=True`): each epoch puts all images into a new order and
    cuts it into episodes. If there are at least B * T images, the remainder
    that does not fill a batch is left out of that epoch, so that every batch
    has the same shape (the order changes, so every image is used); with fewer
    images there is one batch, of fewer episodes, whose last one is padded.

    Evaluation (`shuffle=False`): every image appears exactly once with weight
    1, in one fixed mixed order, whatever the seed. The last episode is padded
    with black images of weight 0; the last batch may hold fewer episodes.

    With `classes_per_episode` an episode has T / C images of each of exactly C
    classes. In training, images that do not fill such an episode are left out
    of that epoch too, and nothing is padded. In evaluation every episode that
    they do not fill is padded behind its images.

    Args:
        source: an `ImageSet`, or what `load_images` takes.
        split: "train", "validation" or "test"; an `ImageSet` has its own.
        episode_length: T, images in an episode.
        batch_size: B, episodes in a batch.
        classes_per_episode: C, a divisor of T; `None` takes images as they
            come, of any class.
        augmentations: variants of training episodes, `mirror`, `turn` and
            `shift` (`kgpm.data.augmentation`); evaluation has none.
        shuffle: `None` shuffles the train split only.
        repeat: `False` gives one epoch, in a new order each time it is
            iterated; `True` an endless stream of epochs.
        first_epoch: the epoch an endless stream starts with: the rest of the
            stream equals what one started at 0 gives after that many epochs.
        seed: seed of the orders, of dynamic binarisation and of variants.
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
    _check_counts(episode_length, batch_size, classes_per_episode)
    check_count("first_epoch", first_epoch, least=0)
    check_goes_with("repeat=True", repeat, first_epoch=first_epoch or None)
    final = isinstance(source, ImageSet)
    check_goes_with(
        "a source that load_images takes",
        not final,
        image_size=image_size,
        channels=channels,
        binarize=None if binarize == "none" else binarize,
    )
    if final:
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
    check_augmentations(augmentations, image_set.image_shape)
    order = _order(
        image_set, episode_length, batch_size, shuffle, classes_per_episode
    )
    return _build(
        image_set,
        order,
        batch_size,
        bool(shuffle),
        augmentations if shuffle else (),
        repeat,
        first_epoch,
        seed,
    )


def _check_counts(
    episode_length: int, batch_size: int, classes_per_episode: int | None
) -> None:
    check_count("episode_length", episode_length)
    check_count("batch_size", batch_size)
    if classes_per_episode is not None:
        check_count("classes_per_episode", classes_per_episode)


def _order(
    image_set: ImageSet,
    episode_length: int,
    batch_size: int,
    shuffle: bool,
    classes_per_episode: int | None,
) -> EpisodeOrder:
    if classes_per_episode is None:
        return order_of_any_class(
            len(image_set), episode_length, batch_size, shuffle
        )
    return order_by_class(
        image_set, episode_length, batch_size, shuffle, classes_per_episode
    )


def _build(
    image_set: ImageSet,
    order: EpisodeOrder,
    batch_size: int,
    shuffle: bool,
    augmentations: Sequence[str],
    repeat: bool,
    first_epoch: int,
    seed: int,
) -> tf.data.Dataset:
    num_episodes = order.num_episodes
    total = math.ceil(num_episodes / batch_size)
    # A GPU's memory is for the model: the whole data set stays on the host,
    # and so do the operations of the pipeline.
    with tf.device("/CPU:0"):
        images = tf.constant(image_set.images)
        base_seed = make_seed(seed)

        def order_of(epoch: tf.Tensor) -> tf.Tensor:
            """Image indices `[E, T]` of an epoch, -1 for padding."""
            if shuffle:
                return order.draw(fold_in(fold_in(base_seed, _ORDER), epoch))
            return order.draw(make_seed(SPLIT_SEED))

        # Autograph would find nothing to convert, and takes a while to look.
        @tf.autograph.experimental.do_not_convert
        def batches_of(epoch: tf.Tensor) -> tf.data.Dataset:
            pixel_epoch = epoch if shuffle else tf.zeros_like(epoch)
            pixel_seed = fold_in(fold_in(base_seed, _PIXELS), pixel_epoch)

            @tf.autograph.experimental.do_not_convert
            def with_seed(index: tf.Tensor, chosen: tf.Tensor) -> tuple:
                return fold_in(pixel_seed, index), chosen

            return (
                tf.data.Dataset.from_tensor_slices(order_of(epoch))
                .batch(batch_size)
                .enumerate()
                .map(with_seed)
            )

        @tf.autograph.experimental.do_not_convert
        def gather(pixel_seed: tf.Tensor, chosen: tf.Tensor) -> dict:
            batch = gather_pixels(
                images, chosen, pixel_seed if image_set.dynamic else None
            )
            if augmentations:
                batch = augment(batch, augmentations, fold_in(pixel_seed, 0))
            weights = tf.cast(chosen >= 0, tf.float32)
            if order.padded:
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
        options = tf.data.Options()
        # Every host sees all batches and takes its part of each.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return (
            epochs.flat_map(batches_of)
            .map(gather, num_parallel_calls=tf.data.AUTOTUNE)
            .apply(tf.data.experimental.assert_cardinality(cardinality))
            .prefetch(2)
            .with_options(options)
        )
