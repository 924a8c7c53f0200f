"""What a batch of a data set holds, and the memory made of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def unpack(batch: Any) -> tuple[Any, Any]:
    """Images and weights of the episodes that hold at least one image.

    An episode that is nothing but padding has nothing to write, and its
    memory must not stand for that of "another episode".

    Args:
        batch: `{"images": [B, T, H, W, C], "weights": [B, T]}`, or images,
            also plain ones `[N, H, W, C]`, which are episodes of one.

    Returns:
        Images `[b, T, H, W, C]` and weights `[b, T]`, b <= B.
    """
    if isinstance(batch, Mapping):
        images, weights = batch["images"], batch.get("weights")
    else:
        images, weights = batch, None
    if len(images.shape) == 4:
        images = images[:, None]
        weights = None if weights is None else weights[:, None]
    if weights is None:
        return images, tf.ones(images.shape[:2])
    present = np.any(np.asarray(weights) > 0, axis=1)
    if present.all():
        return images, weights
    return tf.boolean_mask(images, present), tf.boolean_mask(weights, present)


def write_memory(
    model: Any, images: Any, weights: Any = None, seed: Any = None
) -> Any:
    """The memory of episodes, `None` for a model that has none.

    Args:
        model: a `LatentModel`.
        images: `[B, T, H, W, C]`.
        weights: `[B, T]`, 0 for an image that is absent.
        seed: of the write's noise if it has any.
    """
    if not model.memory.stores:
        return None
    return model.write(images, weights=weights, seed=seed)
