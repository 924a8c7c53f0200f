"""Distribution strategies, and what their workers decide together."""

import contextlib
import signal
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from kgpm.errors import UserError
from kgpm.training.workers.cluster import Cluster


def local_strategy(distribute: str) -> tf.distribute.Strategy:
    """The strategy on this machine alone.

    Args:
        distribute: `none`; `mirrored`, over all GPUs or, without one, all
            logical CPUs; or `auto`, which is `mirrored` where there is more
            than one GPU and else `none`.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if distribute == "none" or (distribute == "auto" and len(gpus) < 2):
        return tf.distribute.get_strategy()
    kind = "GPU" if gpus else "CPU"
    devices = [d.name for d in tf.config.list_logical_devices(kind)]
    return tf.distribute.MirroredStrategy(devices)


def multi_worker_strategy(timeout: float) -> tf.distribute.Strategy:
    """The strategy over the workers of `TF_CONFIG`.

    To be called before anything else uses TensorFlow's devices, and when all
    workers are known to be there (`kgpm.training.workers.rendezvous`).

    Args:
        timeout: seconds that the connecting, and then an operation, waits for
            the other workers.

    Raises:
        tf.errors.OpError: if another worker ends before it is connected.
    """
    _limit_connecting(timeout)
    with contextlib.ExitStack() as stack:
        # No Python runs until all are connected, so that Ctrl-C has to end the
        # process itself, unless it is ignored.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
            stack.callback(signal.signal, signal.SIGINT, handler)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(
            communication_options=(
                tf.distribute.experimental.CommunicationOptions(
                    timeout_seconds=timeout
                )
            )
        )
    # TensorFlow has put a handler there that only takes note, after which
    # neither Kubernetes nor Slurm could end the program kindly.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return strategy


def _limit_connecting(timeout: float) -> None:
    """Lets TensorFlow wait no longer than `timeout` for a worker to connect.

    Left to itself, it registers the workers one by one and then waits an hour
    for the devices of all of them, in native code that lets no Python run, not
    even the handler of a signal. With a barrier at the registration, as JAX
    connects its processes by the same service, the time-out is that of all.
    """
    cluster = (
        tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    )
    # There is no public way to say so; all else is as the strategy has it.
    first = "chief" if "chief" in cluster.jobs else "worker"
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{first}/replica:0/task:0",
        cluster_register_timeout_in_ms=round(1000 * timeout),
    )
    service = context.context().coordination_service
    service.cluster_register_with_barrier = True
    for job in sorted(cluster.jobs):
        service.coordinated_job_list.add(
            name=job, num_tasks=cluster.num_tasks(job)
        )


@contextlib.contextmanager
def lost_workers_named(cluster: Cluster, timeout: float) -> Iterator[None]:
    """Ends with a sentence where an operation waits for others in vain.

    Args:
        cluster: all workers; of one alone, what it raises is its own.
        timeout: seconds that it waits.

    Raises:
        UserError: in place of what a collective operation raises when a worker
            has ended, is out of reach, or takes longer than it may.
    """
    try:
        yield
    except (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.UnavailableError,
    ) as error:
        if not cluster.several:
            raise
        raise UserError(
            "another worker of TF_CONFIG has ended or did not answer in "
            f"{timeout:g} seconds: look at what it says, then start all of "
            "them again, with --resume if the run has an epoch"
        ) from error


def check_shares(
    strategy: tf.distribute.Strategy, batch_size: int, num_episodes: int
) -> None:
    """Checks that each replica has a share of a batch.

    Args:
        strategy: of the training.
        batch_size: `--batch_size`, of all replicas together.
        num_episodes: of the training split.

    Raises:
        UserError: if there are more replicas than episodes.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas > batch_size:
        raise UserError(
            f"{replicas} replicas cannot share a batch of --batch_size="
            f"{batch_size} episodes: raise it or take fewer devices"
        )
    if replicas > num_episodes:
        raise UserError(
            f"{replicas} replicas cannot share the {num_episodes} episodes of "
            "the training images: lower --episode_length or take fewer devices"
        )


def check_same(
    strategy: tf.distribute.Strategy, numbers: Sequence[int], what: str
) -> None:
    """Checks that all workers have the same numbers.

    Args:
        strategy: of the training.
        numbers: integers, as many on each worker.
        what: they are of, for the message.

    Raises:
        UserError: on all workers, if one has others.
    """
    rows = strategy.gather(
        strategy.run(lambda: tf.constant([list(numbers)], tf.int64)), axis=0
    )
    if len(np.unique(rows.numpy(), axis=0)) > 1:
        raise UserError(
            f"the workers have different {what}: give every host the same ones"
        )


def any_worker(strategy: tf.distribute.Strategy, decision: bool) -> bool:
    """Whether at least one worker decides so: the same answer on all."""
    votes = strategy.run(lambda: tf.constant(float(decision)))
    return bool(strategy.reduce("SUM", votes, axis=None) > 0.0)


def of_first_worker(
    strategy: tf.distribute.Strategy, values: Sequence[Any]
) -> list[np.ndarray]:
    """The first worker's values, on all workers.

    Args:
        strategy: of the training.
        values: arrays of the same shapes on all workers.
    """

    def of_first() -> Any:
        replica = tf.distribute.get_replica_context()
        first = replica.replica_id_in_sync_group == 0
        own = [
            tf.convert_to_tensor(value if first else np.zeros_like(value))
            for value in values
        ]
        return replica.all_reduce("sum", own)

    shared = strategy.run(of_first)
    return [
        strategy.experimental_local_results(value)[0].numpy()
        for value in shared
    ]
