"""Batches of single images, each with a memory of its own to be scored with."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kgpm.data.classes import Classes
from kgpm.data.classes import classes_of
from kgpm.data.image_set import ImageSet
from kgpm.data.memory_draws import draw_memories
from kgpm.data.memory_draws import largest_counts
from kgpm.data.preprocessing import gather_pixels
from kgpm.data.splits import permutation
from kgpm.errors import UserError
from kgpm.errors import check_count
from kgpm.errors import check_goes_with
from kgpm.ops import fold_in
from kgpm.ops import make_seed


def memory_batches(
    image_set: ImageSet,
    memory_size: int,
    classes_per_memory: int,
    batch_size: int = 32,
    *,
    targets: int | Sequence[int] | np.ndarray | None = None,
    own_images: int | None = None,
    exact: bool = True,
    seed: int = 0,
) -> tf.data.Dataset:
    """Each target once, with a memory of M other images of C classes.

    A memory has M different images, never the target, of exactly C classes,
    one of which is the target's own. The number of images of the own class is
    uniform on 1 to M - C + 1, or `own_images`; the other classes are drawn
    uniformly and share the rest as evenly as can be. Images of a class are
    drawn without replacement, and their order in the memory is mixed.

    With `exact=False` the number of classes of each memory is itself uniform
    on 1 to the lower of C and M: "up to C classes".

    Args:
        image_set: labelled images: the targets and all that memories hold.
        memory_size: M.
        classes_per_memory: C.
        batch_size: B, targets in a batch; the last one may have fewer.
        targets: their indices, scored in this order; or how many, the first of
            one fixed permutation of all, so that every memory size, number of
            classes and seed is measured on the same ones; `None` takes all.
        own_images: images of the target's class in each memory.
        exact: whether every memory has C classes, not up to C.
        seed: seed of the memories: equal seeds give equal memories.

    Returns:
        A `tf.data.Dataset` of `{"memory": float32 [B, M, H, W, C] in [0, 1],
        "images": float32 [B, 1, H, W, C], "weights": float32 [B, 1]}`, all
        weights 1, of known cardinality.

    Raises:
        UserError: a wrong argument, images without labels, fewer classes than
            C, or a class with too few images for the largest memory.
    """
    check_count("memory_size", memory_size)
    check_count("classes_per_memory", classes_per_memory)
    check_count("batch_size", batch_size)
    _check_own_images(own_images, memory_size, classes_per_memory, exact)
    classes = classes_of(image_set, "classes_per_memory", classes_per_memory)
    chosen = _choose_targets(targets, len(image_set))
    largest = largest_counts(memory_size, classes_per_memory, own_images, exact)
    _check_class_sizes(image_set, classes, chosen, *largest)
    memories = draw_memories(
        classes,
        chosen,
        memory_size,
        classes_per_memory,
        own_images,
        exact,
        np.random.default_rng(seed & 0xFFFFFFFF),
    )
    table = np.concatenate([chosen[:, np.newaxis], memories], axis=1)
    # A GPU's memory is for the model: the images stay on the host.
    with tf.device("/CPU:0"):
        images = tf.constant(image_set.images)
        base_seed = make_seed(seed)

        def gather(index: tf.Tensor, indices: tf.Tensor) -> dict:
            pixel_seed = None
            if image_set.dynamic:
                pixel_seed = fold_in(base_seed, index)
            batch = gather_pixels(images, indices, pixel_seed)
            return {
                "memory": batch[:, 1:],
                "images": batch[:, :1],
                "weights": tf.ones_like(indices[:, :1], tf.float32),
            }

        return (
            tf.data.Dataset.from_tensor_slices(table)
            .batch(batch_size)
            .enumerate()
            .map(gather, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(2)
        )


def _check_own_images(
    own_images: int | None, memory_size: int, num_classes: int, exact: bool
) -> None:
    if exact and memory_size < num_classes:
        raise UserError(
            f"Expected memory_size to be at least classes_per_memory "
            f"{num_classes}, received {memory_size}; enlarge it, lower "
            "classes_per_memory or pass exact=False."
        )
    if own_images is None:
        return
    check_count("own_images", own_images)
    check_goes_with("exact=True", exact, own_images=own_images)
    most = memory_size - num_classes + 1
    least = most if num_classes == 1 else 1
    if not least <= own_images <= most:
        raise UserError(
            f"Expected own_images to be from {least} to {most} in a memory of "
            f"{memory_size} images of {num_classes} classes, received "
            f"{own_images}; change it or memory_size."
        )


def _choose_targets(
    targets: int | Sequence[int] | np.ndarray | None, num: int
) -> np.ndarray:
    """Indices of the targets, int64 `[N]`."""
    if targets is None:
        return np.arange(num)
    if np.ndim(targets) == 0:
        count = check_count("targets", targets)
        if count > num:
            raise UserError(
                f"Expected targets to be at most the {num} images there are, "
                f"received {count}; lower it."
            )
        return permutation(num)[:count]
    indices = np.asarray(targets)
    if (
        indices.ndim != 1
        or not len(indices)
        or not np.issubdtype(indices.dtype, np.integer)
        or indices.min() < 0
        or indices.max() >= num
        or len(np.unique(indices)) < len(indices)
    ):
        raise UserError(
            f"Expected targets to be different indices from 0 to {num - 1}, "
            f"received {targets!r}; repair the list or pass how many."
        )
    return indices.astype(np.int64)


def _check_class_sizes(
    image_set: ImageSet,
    classes: Classes,
    targets: np.ndarray,
    most_own: int,
    most_other: int,
) -> None:
    own = int(classes.counts[classes.of_image[targets]].min())
    where = f"{image_set.name} {image_set.split}"
    if own < most_own + 1:
        raise UserError(
            f"Expected at least {most_own + 1} images of the class of each "
            f"target (itself and up to {most_own} in its memory), received a "
            f"class of {own} in {where}; lower memory_size or own_images, or "
            "choose other targets."
        )
    if classes.counts.min() < most_other:
        raise UserError(
            f"Expected at least {most_other} images of each class, of which a "
            "memory may hold so many, received a class of "
            f"{classes.counts.min()} in {where}; lower memory_size or raise "
            "own_images."
        )
