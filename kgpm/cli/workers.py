"""What `--distribute` asks for: the workers of a run and their strategy."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import kgpm
from kgpm.cli import flags
from kgpm.cli.main import sentence_for
from kgpm.cli.run_flags import facts_of_the_run
from kgpm.errors import UserError
from kgpm.training.workers.cluster import Cluster
from kgpm.training.workers.cluster import read_cluster
from kgpm.training.workers.rendezvous import meet
from kgpm.training.workers.rendezvous import refuse


def cluster_of(values: flags.FlagValues) -> Cluster:
    """The workers that the flags and `TF_CONFIG` name, of which this is one.

    Args:
        values: the flags of `kgpm.train`.

    Returns:
        The cluster; that of a program on its own has one worker.

    Raises:
        UserError: if `TF_CONFIG` is missing or wrong, or is there and nothing
            says what to do with it.
    """
    config = os.environ.get("TF_CONFIG", "")
    if values.distribute == "multi_worker":
        return read_cluster(config)
    if values.distribute == "auto" and config.strip():
        raise UserError(
            "TF_CONFIG is set, so that this may be one of several hosts: add "
            "--distribute=multi_worker to train with the others, or "
            "--distribute=none or mirrored to train on this machine alone"
        )
    return Cluster((), 0)


@contextlib.contextmanager
def refusal_told(cluster: Cluster, timeout: float) -> Iterator[None]:
    """Tells the other workers if the first refuses to start, and why.

    Without a word from it they would wait for it until their time is over.

    Args:
        cluster: all workers and which one this is.
        timeout: seconds to wait for the others.
    """
    try:
        yield
    except (OSError, UserError) as error:
        if cluster.several and cluster.rank == 0:
            sentence = sentence_for(error)
            print(f"{sentence}. Telling the other workers.", flush=True)
            # In use, the port is not what this worker refuses to start for.
            with contextlib.suppress(UserError):
                refuse(cluster, f"worker 0 does not start: {sentence}", timeout)
        raise


def make_strategy(values: flags.FlagValues) -> Any:
    """Makes the strategy, before anything else uses TensorFlow's devices.

    Several hosts wait for each other here and check that they have the same
    flags and versions.

    Args:
        values: the flags of `kgpm.train`.

    Raises:
        UserError: see `cluster_of` and `kgpm.training.workers.rendezvous.meet`.
    """
    from kgpm.training.workers import strategy

    cluster = cluster_of(values)
    if not cluster.several:
        # A cluster of one is a machine on its own.
        alone = "auto" if cluster.addresses else values.distribute
        return strategy.local_strategy(alone)
    count = len(cluster.addresses)
    print(f"Waiting for all {count} workers of TF_CONFIG.", flush=True)
    meet(cluster, facts_of_this_worker(values), values.worker_timeout)
    return strategy.multi_worker_strategy(values.worker_timeout)


def facts_of_this_worker(values: flags.FlagValues) -> dict[str, str]:
    """What all workers must have the same: flags of the run, and versions.

    Args:
        values: the flags of `kgpm.train`.
    """
    import keras
    import tensorflow as tf

    facts = facts_of_the_run(values)
    for package in (kgpm, keras, tf):
        facts[f"the version of {package.__name__}"] = package.__version__
    return facts
