"""Scores of each image under a memory of the others of its episode."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kgpm.models import LatentModel
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed


def held_out_terms(
    model: LatentModel, images: Any, weights: Any = None, seed: Any = None
) -> dict[str, Any]:
    """Terms of each image under a memory written from the others.

    Args:
        model: that scores.
        images: `[B, T, H, W, C]`.
        weights: `[B, T]`, 0 for an absent image.
        seed: of all noise.

    Returns:
        Terms as `LatentModel.query_terms` gives them, `[B, T]` in nats.
    """
    codes = model.encode(images, weights)
    return leave_each_out(model, images, codes, weights, seed, model.score)


def leave_each_out(
    model: LatentModel,
    images: Any,
    codes: Any,
    weights: Any,
    seed: Any,
    score: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """Figures of each image under a memory of the others.

    In one pass where the memory leaves each code out by itself, else in one
    for each place in an episode.

    Args:
        model: that encodes and writes.
        images: `[B, T, H, W, C]`.
        codes: of the images.
        weights: `[B, T]` or `None`.
        seed: of all noise.
        score: `score(images, codes, memory, seed)` gives `{name: [B, Q]}` of
            Q images.

    Returns:
        `{name: [B, T]}`.
    """
    images = ops.convert_to_tensor(images)
    length = ops.shape(images)[1]
    if not model.memory.stores:
        return score(images, codes, None, seed)
    if leaves_out_at_once(model, length):
        others = model.leave_each_out(codes, weights)
        return score(images, codes, others, seed)
    if weights is None:
        weights = ops.ones(ops.shape(images)[:2])
    weights = ops.cast(weights, "float32")
    base = make_seed(seed)

    def leave_out(position: Any) -> dict[str, Any]:
        others = weights * ops.cast(
            ops.arange(length) != position, weights.dtype
        )
        write_seed, read_seed = split_seed(fold_in(base, position), 2)
        written = codes
        if model.encoder.mixes_images:
            # Codes of the others that have not seen the image left out.
            written = model.encode(images, others)
        memory = model.memory.write(written, others, write_seed)
        image = ops.take(images, position[None], axis=1)
        code = keras.tree.map_structure(
            lambda values: ops.take(values, position[None], axis=1), codes
        )
        terms = score(image, code, memory, read_seed)
        return {name: value[:, 0] for name, value in terms.items()}

    # Keras calls it once more, for the shapes: a function is traced once.
    traced = tf.function(leave_out, autograph=False)
    terms = ops.map(traced, ops.arange(length))
    return {name: ops.swapaxes(v, 0, 1) for name, v in terms.items()}


def leaves_out_at_once(model: LatentModel, length: Any) -> bool:
    """Whether a memory of T images leaves each out without another write."""
    if model.memory.explains_itself:
        return True
    # A code that has seen the image left out would give it away.
    return not model.encoder.mixes_images and (
        model.memory.leaves_out_exactly(length)
    )
