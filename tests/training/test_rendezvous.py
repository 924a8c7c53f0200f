"""Workers meet, or say in time why not."""

import socket
import threading
import time

import pytest

from kgpm.errors import UserError
from kgpm.training.workers.cluster import Cluster
from kgpm.training.workers.rendezvous import meet
from kgpm.training.workers.rendezvous import refuse
from tests.ports import free_ports

FACTS = {"--seed": "--seed=0", "--epochs": "--epochs=3"}


def free_addresses(count, host="127.0.0.1"):
    return tuple(f"{host}:{port}" for port in free_ports(count))


def all_meet(clusters, facts=None, timeout=10.0):
    """What each worker is told, `""` for agreement."""
    told = [None] * len(clusters)

    def worker(number):
        try:
            known = (facts or {}).get(number, FACTS)
            told[number] = meet(clusters[number], known, timeout) or ""
        except UserError as error:
            told[number] = str(error)

    threads = [
        threading.Thread(target=worker, args=(number,))
        for number in range(len(clusters))
    ]
    # The first comes last: the others wait for it.
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    return told


def cluster_of(count):
    addresses = free_addresses(count)
    return [Cluster(addresses, rank) for rank in range(count)]


def test_workers_that_agree_meet():
    clusters = cluster_of(3)
    assert all_meet(clusters) == ["", "", ""]
    # The ports are free again, for TensorFlow.
    assert all_meet(clusters) == ["", "", ""]


@pytest.mark.skipif(
    not socket.has_dualstack_ipv6(), reason="the machine has no IPv6"
)
def test_workers_meet_at_addresses_of_ipv6():
    addresses = free_addresses(2, "[::1]")
    assert all_meet([Cluster(addresses, rank) for rank in (0, 1)]) == ["", ""]


def test_all_are_told_who_differs_and_in_what():
    other = {"--seed": "--seed=1", "--epochs": "--epochs=3", "--new": "--new"}
    told = all_meet(cluster_of(3), {2: other})
    assert set(told) == {
        "worker 2 was started with other values of --new, --seed than worker "
        "0: start all workers alike"
    }


@pytest.mark.slow
def test_a_worker_that_does_not_come_is_not_waited_for_forever():
    first, second, third = cluster_of(3)
    started = time.monotonic()
    told = all_meet([first, second], timeout=1.0)
    assert f"worker 2 ({third.addresses[2]}) did not come in time" in told[0]
    # The second is told, or its own time is over.
    assert "did not come in time" in told[1] or "did not answer" in told[1]
    assert time.monotonic() - started < 5.0
    with pytest.raises(UserError, match=r"worker 0 \(.*\) did not answer in 1"):
        meet(third, FACTS, 1.0)


def test_a_first_worker_that_refuses_says_so_to_all():
    first, *others = cluster_of(3)
    told = ["", ""]

    def worker(number):
        with pytest.raises(UserError) as caught:
            meet(others[number], FACTS, 10.0)
        told[number] = str(caught.value)

    threads = [threading.Thread(target=worker, args=(n,)) for n in (0, 1)]
    started = time.monotonic()
    threads[0].start()
    # The second comes when the first has long been told.
    threading.Timer(0.3, threads[1].start).start()
    refuse(first, "the directory is in use", 10.0)
    for thread in threads:
        thread.join()
    assert told == ["the directory is in use"] * 2
    assert time.monotonic() - started < 5.0
    refuse(first, "nobody hears it", 0.1)


def test_a_port_in_use_and_an_index_taken_twice():
    first, second = cluster_of(2)
    with socket.create_server(("", second.port)):
        with pytest.raises(UserError, match=f"port {second.port} of 127.0.0.1"):
            meet(second, FACTS, 1.0)
    told = all_meet([first, second, second])
    assert sum("cannot be listened on" in each for each in told) == 1


def test_another_cluster_is_not_joined():
    first, second = cluster_of(2)
    stranger = Cluster((*first.addresses, free_addresses(1)[0]), 1)
    told = all_meet([first, stranger])
    assert "names another cluster" in told[0]
    assert told[0] == told[1]


def test_a_probe_of_the_port_is_no_worker():
    first, second = cluster_of(2)
    thread = threading.Thread(target=meet, args=(first, FACTS, 10.0))
    thread.start()
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", first.port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    meet(second, FACTS, 10.0)
    thread.join()
