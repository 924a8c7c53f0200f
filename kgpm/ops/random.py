"""Noise from an explicit seed: the same seed always gives the same draw.

`keras.random` takes a Python integer or a stateful generator, but a served or
replicated function needs the seed as a tensor. These few functions wrap the
stateless generators of TensorFlow, the only use of it on this floor.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def make_seed(seed: Any = None) -> Any:
    """Turns an integer, a pair or `None` into a seed tensor `int32[2]`.

    Args:
        seed: `None` (fresh noise from TensorFlow's global generator, which
            `keras.utils.set_random_seed` makes reproducible), an integer, or
            a tensor or sequence of two integers.
    """
    if seed is None:
        # 2**31 - 1 is the largest int32.
        return tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
    seed = tf.convert_to_tensor(seed)
    if seed.shape.rank == 0:
        seed = tf.stack([seed, tf.zeros_like(seed)])
    return tf.cast(seed, tf.int32)


def fold_in(seed: Any, data: Any) -> Any:
    """A new seed from a seed and an integer, such as a step or a replica."""
    return tf.random.experimental.stateless_fold_in(
        make_seed(seed), tf.cast(data, tf.int32)
    )


def split_seed(seed: Any, num: int) -> list:
    """Splits a seed into `num` independent ones."""
    return tf.unstack(
        tf.random.experimental.stateless_split(make_seed(seed), num)
    )


def normal(shape: Sequence, seed: Any, dtype: str = "float32") -> Any:
    """Standard normal draws, one per element of `shape`."""
    return tf.random.stateless_normal(shape, make_seed(seed), dtype=dtype)


def with_noise(values: Any, stddev: float, seed: Any) -> Any:
    """Values with Gaussian noise of their own for each of them."""
    if stddev == 0.0:
        return values
    return values + stddev * normal(tf.shape(values), seed, values.dtype)


def uniform(shape: Sequence, seed: Any, dtype: str = "float32") -> Any:
    """Draws from [0, 1), one per element of `shape`."""
    return tf.random.stateless_uniform(shape, make_seed(seed), dtype=dtype)


def gumbel(shape: Sequence, seed: Any, dtype: str = "float32") -> Any:
    """Standard Gumbel draws: with logits, their arg max is a categorical."""
    draws = tf.maximum(uniform(shape, seed, dtype), 1e-30)
    return -tf.math.log(-tf.math.log(draws))


def categorical(logits: Any, num_samples: int, seed: Any) -> Any:
    """Categorical draws of logits `[N, K]`, `[N, num_samples]`.

    Those of TensorFlow's own operation change with the number of rows and of
    processor cores. Here a row's are its own, and the same on any machine.
    """
    below = tf.cumsum(tf.nn.softmax(tf.cast(logits, "float64")), axis=-1)
    # By the last sum, which is not quite 1: a draw must not end behind it.
    below = below / below[:, -1:]
    rows = below.shape[0]
    if rows is None:
        rows = tf.shape(below)[0]
    draws = uniform((rows, num_samples), seed, "float64")
    return tf.reduce_sum(
        tf.cast(draws[:, :, None] >= below[:, None], tf.int32), axis=-1
    )
