"""Checks inside the graph: a served model refuses what it cannot answer.

A server hands over whatever came. Each check stands before the tensor that it
guards, so that nothing is computed from a refused one, and fails with one
sentence: expected, received.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kgpm.likelihoods import Likelihood


def checked_images(
    name: str, images: Any, shape: Sequence, likelihood: Likelihood | None
) -> Any:
    """Images that can be worked on.

    Args:
        name: of the input.
        images: `[B, T, H, W, C]`.
        shape: `(H, W, C)`.
        likelihood: what is to score them, if something is.

    Returns:
        The same images, behind the checks.
    """
    images = checked_shape(name, images, (None, None, *shape), at_least_one=2)
    if likelihood is None:
        # A NaN fails both comparisons.
        good, pixels = (images >= 0.0) & (images <= 1.0), "in [0, 1]"
    else:
        good, pixels = likelihood.can_score(images), likelihood.pixels
    return guarded(
        images,
        tf.reduce_all(good),
        f"Expected pixels of {name} {pixels}, received values from",
        tf.reduce_min(images),
        "to",
        tf.reduce_max(images),
    )


def checked_shape(
    name: str, value: Any, shape: Sequence, at_least_one: int = 1
) -> Any:
    """A tensor of a shape, any size where that is `None`.

    Args:
        name: of the input.
        value: the tensor.
        shape: what it must be.
        at_least_one: leading axes that must not be empty.

    Returns:
        The same tensor, behind the check.
    """
    # A server may feed another shape than the signature has. `tf.shape` of a
    # tensor of known shape is a constant; that of this one is not, as long as
    # one of its axes may have any size.
    fed = tf.shape(tf.raw_ops.PlaceholderWithDefault(input=value, shape=None))
    rank = len(shape)
    expected = tf.constant([-1 if size is None else size for size in shape])
    # Of another rank, it must not fail to be compared.
    compared = tf.concat([fed, tf.fill([rank], -2)], axis=0)[:rank]
    right = tf.reduce_all((compared == expected) | (expected == -1))
    right &= tf.shape(fed)[0] == rank
    right &= tf.reduce_all(compared[:at_least_one] > 0)
    letters = ", ".join("n" if size is None else str(size) for size in shape)
    return guarded(
        value, right, f"Expected {name} of shape [{letters}], received", fed
    )


def checked_finite(name: str, value: Any) -> Any:
    """A tensor without NaN and infinities; integers have none."""
    if not value.dtype.is_floating:
        return value
    return guarded(
        value,
        tf.reduce_all(tf.math.is_finite(value)),
        f"Expected numbers in {name}, received NaN or an infinity.",
    )


def checked_batch(name: str, value: Any, memory_id: Any) -> Any:
    """A tensor for as many episodes as there are memories.

    Args:
        name: of the input.
        value: the tensor.
        memory_id: `[B]`, of the memories.
    """
    received, batch = tf.shape(value)[0], tf.shape(memory_id)[0]
    return guarded(
        value,
        received == batch,
        f"Expected {name} for as many episodes as there are memories,",
        batch,
        ", received",
        received,
    )


def checked_count(name: str, count: Any) -> Any:
    """A count of at least 1."""
    return guarded(
        count, count >= 1, f"Expected {name} of at least 1, received", count
    )


def checked_answer(
    count: Any, factors: Sequence, max_numbers: int, what: str
) -> Any:
    """A count whose answer is not too large to be sent.

    Args:
        count: the last factor, returned behind the check.
        factors: how many numbers the answer has for each of `count`.
        max_numbers: the most that are sent.
        what: what the numbers are of.
    """
    total = tf.cast(count, tf.int64)
    for factor in factors:
        total *= tf.cast(factor, tf.int64)
    return guarded(
        count,
        total <= max_numbers,
        f"Expected an answer of at most {max_numbers} numbers ({what}), "
        "received a request for",
        total,
    )


def guarded(value: Any, condition: Any, *message: Any) -> Any:
    """A tensor that exists only where a condition holds."""
    check = tf.debugging.Assert(condition, list(message), summarize=8)
    with tf.control_dependencies([check]):
        return tf.identity(value)
