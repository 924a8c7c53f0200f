"""The workers of a training on several hosts, as `TF_CONFIG` names them."""

import json
from typing import Any
from typing import NamedTuple

from kgpm.errors import UserError

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")


class Cluster(NamedTuple):
    """All workers, and which of them this process is.

    Attributes:
        addresses: `host:port` of each, in the order of their ranks; a chief
            comes first.
        rank: of this process. The worker of rank 0 alone writes and prints.
    """

    addresses: tuple[str, ...]
    rank: int

    @property
    def several(self) -> bool:
        """Whether there is any other worker."""
        return len(self.addresses) > 1

    @property
    def port(self) -> int:
        """The port of this worker."""
        return split_address(self.addresses[self.rank])[1]


def read_cluster(text: str) -> Cluster:
    """Reads the value of `TF_CONFIG`.

    Args:
        text: `{"cluster": {"chief": [...], "worker": [...]}, "task":
            {"type": ..., "index": ...}}` in JSON; a chief is optional.

    Raises:
        UserError: if it is anything else.
    """
    if not text.strip():
        raise _wrong("that it is set", "nothing")
    try:
        config = json.loads(text)
    except ValueError as error:
        raise _wrong("JSON", f"{text!r} ({error})") from error
    if not isinstance(config, dict):
        raise _wrong("a JSON object", text)
    workers = config.get("cluster")
    if not isinstance(workers, dict) or not workers:
        raise _wrong('a "cluster" with lists of addresses', workers)
    if others := sorted(set(workers) - set(_JOBS)):
        raise _wrong(f"a cluster of {' and '.join(_JOBS)}", ", ".join(others))
    for job, addresses in workers.items():
        if not isinstance(addresses, list) or not addresses:
            raise _wrong(f"a list of addresses for {job}", addresses)
        for address in addresses:
            _check_address(address)
    if len(workers.get("chief", [])) > 1:
        raise _wrong("one chief at most", workers["chief"])
    addresses = tuple(a for job in _JOBS for a in workers.get(job, []))
    if len(set(addresses)) < len(addresses):
        raise _wrong("an address of its own for each worker", addresses)
    task = config.get("task")
    if not isinstance(task, dict):
        raise _wrong('a "task" with type and index', task)
    job, index = task.get("type"), task.get("index")
    if job not in list(workers):
        raise _wrong(f"a task of type {' or '.join(workers)}", job)
    # An index in quotes is text, and `true` is an integer to Python.
    if type(index) is not int or not 0 <= index < len(workers[job]):
        raise _wrong(
            f"an index from 0 to {len(workers[job]) - 1} for {job}",
            json.dumps(index),
        )
    before = len(workers.get("chief", [])) if job == "worker" else 0
    return Cluster(addresses, before + index)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`, also of `[::1]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _check_address(address: Any) -> None:
    host, _, port = str(address).rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise _wrong("addresses like host:2222", address)
    if not 0 < int(port) < 2**16:
        raise _wrong("addresses like host:2222", address)


def _wrong(expected: str, received: Any) -> UserError:
    return UserError(
        f"--distribute=multi_worker expected of TF_CONFIG {expected}, received "
        f"{received}: set it on every host to the like of {_EXAMPLE}"
    )
