"""The workers of a cluster meet before TensorFlow connects them.

TensorFlow itself waits for a worker that never comes without a limit, and
holds Python while it does; and workers that were told different things hang in
a later step. Here they find out in time.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from kgpm.errors import UserError
from kgpm.training.workers.cluster import Cluster
from kgpm.training.workers.cluster import split_address

_PAUSE = 0.2
# Seconds in which a visitor must have said who it is.
_PATIENCE = 5.0
_LONGEST = 2**20


def meet(cluster: Cluster, facts: Mapping[str, str], timeout: float) -> None:
    """Waits until all workers are there and checks that they agree.

    The first worker listens on its own port, the others tell it their facts
    and hear from it who differs. The ports are free again afterwards.

    Args:
        cluster: all workers and which one this is.
        facts: what must be the same on all of them, by name.
        timeout: seconds to wait for the others.

    Raises:
        UserError: a port in use, a worker that does not come, or one whose
            facts are others.
    """
    deadline = time.monotonic() + timeout
    with _own_port(cluster) as server:
        if cluster.rank == 0:
            complaint = _host(cluster, dict(facts), server, deadline)
        else:
            complaint = _visit(cluster, dict(facts), deadline, timeout)
    if complaint:
        raise UserError(complaint)


def refuse(cluster: Cluster, complaint: str, timeout: float) -> None:
    """Tells all other workers, as each comes, that there will be no meeting.

    To be called on the first worker, in place of `meet`.

    Args:
        cluster: all workers, of which this is the first.
        complaint: what `meet` raises on the others.
        timeout: seconds to wait for them.

    Raises:
        UserError: a port in use.
    """
    deadline = time.monotonic() + timeout
    told: set[int] = set()
    with _own_port(cluster) as server:
        while len(told) < len(cluster.addresses) - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                visitor = server.accept()[0]
            except TimeoutError:
                return
            with visitor:
                visitor.settimeout(_PATIENCE)
                said = _read(visitor)
                # Not a probe that only looks who listens.
                if isinstance(said, dict):
                    _write(visitor, complaint)
                    told.add(said["rank"])


@contextlib.contextmanager
def _own_port(cluster: Cluster) -> Iterator[socket.socket]:
    address = cluster.addresses[cluster.rank]
    # By both Internet protocols, as TensorFlow will listen.
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(
            ("", cluster.port), family=family, dualstack_ipv6=both
        )
    except OSError as error:
        raise UserError(
            f"port {cluster.port} of {address}, this worker's in TF_CONFIG, "
            f"cannot be listened on ({error.strerror}): stop what uses it or "
            "name another"
        ) from error
    with server:
        yield server


def _host(
    cluster: Cluster,
    facts: dict[str, str],
    server: socket.socket,
    deadline: float,
) -> str:
    """Waits for the others and tells all of them the verdict, `""` if fine."""
    theirs: dict[int, dict] = {}
    with contextlib.ExitStack() as visitors:
        waiting = []
        complaint = ""
        while len(theirs) < len(cluster.addresses) - 1 and not complaint:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                visitor = visitors.enter_context(server.accept()[0])
            except TimeoutError:
                missing = [
                    f"{rank} ({address})"
                    for rank, address in enumerate(cluster.addresses)
                    if rank and rank not in theirs
                ]
                complaint = (
                    f"worker {', '.join(missing)} did not come in time: start "
                    "the program on all hosts of TF_CONFIG, or wait longer "
                    "with --worker_timeout"
                )
                break
            visitor.settimeout(_PATIENCE)
            said = _read(visitor)
            if not isinstance(said, dict):
                # No worker: such as a probe that only looks who listens.
                continue
            if said.get("of") != list(cluster.addresses):
                complaint = (
                    "a program came to worker 0 whose TF_CONFIG names another "
                    "cluster: give all workers the same one"
                )
                _write(visitor, complaint)
                break
            waiting.append(visitor)
            if said["rank"] in theirs:
                complaint = (
                    f"two workers have the index of worker {said['rank']}: "
                    "give each its own in TF_CONFIG"
                )
            theirs[said["rank"]] = said["facts"]
        complaint = complaint or _difference(facts, theirs)
        for visitor in waiting:
            _write(visitor, complaint)
    return complaint


def _visit(
    cluster: Cluster, facts: dict[str, str], deadline: float, timeout: float
) -> str:
    """Tells the first worker the facts and returns its verdict."""
    first = cluster.addresses[0]
    message = {
        "of": list(cluster.addresses),
        "rank": cluster.rank,
        "facts": facts,
    }
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(split_address(first), left) as host:
                _write(host, message)
                verdict = _read(host)
        except OSError:
            # It is not there yet, or left before all had come.
            time.sleep(_PAUSE)
            continue
        if isinstance(verdict, str):
            return verdict
        time.sleep(_PAUSE)
    return (
        f"worker 0 ({first}) did not answer in {timeout:g} seconds: start the "
        "program on all hosts of TF_CONFIG and look at what that one says, or "
        "wait longer with --worker_timeout"
    )


def _difference(facts: dict[str, str], theirs: dict[int, dict]) -> str:
    """Who differs from the first worker, and in what."""
    for rank, others in sorted(theirs.items()):
        names = sorted(
            name
            for name in {*facts, *others}
            if facts.get(name) != others.get(name)
        )
        if names:
            return (
                f"worker {rank} was started with other values of "
                f"{', '.join(names)} than worker 0: start all workers alike"
            )
    return ""


def _read(connection: socket.socket) -> Any:
    """A JSON value that ends with its line; None if nothing like it came."""
    try:
        with connection.makefile("rb") as file:
            return json.loads(file.readline(_LONGEST))
    except (OSError, ValueError):
        return None


def _write(connection: socket.socket, value: Any) -> None:
    # Whoever has left hears nothing.
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(value).encode() + b"\n")
