"""What all replicas of a distribution strategy hold together.

Without a strategy, each function is what it is for one replica.
"""

from typing import Any

import tensorflow as tf


def sum_over_replicas(values: Any) -> Any:
    """The sum over all replicas, the same on each of them."""
    replica = _replica()
    return values if replica is None else replica.all_reduce("sum", values)


def of_the_first_replica(values: Any, has_some: Any) -> tuple[Any, Any]:
    """The values of the first replica that has some.

    Args:
        values: a tensor of one shape on all replicas.
        has_some: scalar boolean.

    Returns:
        The values, zeros if no replica has any, and whether one has.
    """
    replica = _replica()
    if replica is None:
        return tf.where(has_some, values, 0.0), has_some
    count = replica.num_replicas_in_sync
    own = replica.replica_id_in_sync_group
    with_some = replica.all_reduce(
        "sum", tf.one_hot(own, count) * tf.cast(has_some, "float32")
    )
    chosen = tf.equal(own, tf.argmax(with_some, output_type=tf.int32))
    values = tf.where(tf.logical_and(chosen, has_some), values, 0.0)
    return replica.all_reduce("sum", values), tf.reduce_any(with_some > 0.0)


def _replica() -> Any:
    """The context of one of several replicas."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return None
    return replica
