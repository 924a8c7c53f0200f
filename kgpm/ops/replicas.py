"""What all replicas of a distribution strategy hold together.

Without a strategy, each function is what it is for one replica.
"""

from typing import Any

import tensorflow as tf


def sum_over_replicas(values: Any) -> Any:
    """The sum over all replicas, the same on each of them."""
    replica = _replica()
    return values if replica is None else replica.all_reduce("sum", values)


def sum_of_earlier_replicas(value: Any) -> Any:
    """What a scalar adds up to on the replicas before this one."""
    replica = _replica()
    if replica is None:
        return tf.zeros_like(value)
    own = replica.replica_id_in_sync_group
    count = replica.num_replicas_in_sync
    each = replica.all_reduce("sum", value * tf.one_hot(own, count))
    return tf.reduce_sum(each * tf.cast(tf.range(count) < own, each.dtype))


def of_the_first_replica(values: Any) -> Any:
    """The values of the first replica, on all of them."""
    replica = _replica()
    if replica is None:
        return values
    first = tf.equal(replica.replica_id_in_sync_group, 0)
    return replica.all_reduce("sum", tf.where(first, values, 0.0))


def _replica() -> Any:
    """The context of one of several replicas."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return None
    return replica
