"""What `TF_CONFIG` may be, and what is said where it is not."""

import json

import pytest

from kgpm.errors import UserError
from kgpm.training.workers.cluster import read_cluster
from kgpm.training.workers.cluster import split_address

TWO = {"worker": ["a:1", "b:2"]}


def config(cluster=None, kind="worker", index=0):
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": cluster or TWO, "task": task})


def test_ranks_are_in_order_and_a_chief_is_first():
    assert read_cluster(config(index=1)) == (("a:1", "b:2"), 1)
    chief = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    assert read_cluster(config(chief, "chief")) == (("c:3", "a:1", "b:2"), 0)
    found = read_cluster(config(chief, "worker", 1))
    assert found.rank == 2
    assert found.port == 2


def test_addresses_of_both_internet_protocols():
    assert split_address("host:7") == ("host", 7)
    assert split_address("[::1]:7") == ("::1", 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "that it is set, received nothing"),
        ("{cluster}", "JSON, received '{cluster}'"),
        ("[1]", "a JSON object"),
        ('{"task": {"type": "worker", "index": 0}}', 'a "cluster" with lists'),
        ('{"cluster": {"worker": ["a:1"]}}', 'a "task" with type and index'),
        (config({"ps": ["a:1"], **TWO}), "chief and worker, received ps"),
        (config({"worker": "a:1"}), "a list of addresses for worker"),
        (config({"worker": ["a"]}), "addresses like host:2222, received a"),
        (config({"worker": ["a:70000"]}), "addresses like host:2222"),
        (config({"worker": [["a:1"]]}), "addresses like host:2222"),
        (config({"worker": ["grpc://a:1"]}), "host:2222, received grpc://a:1"),
        (config({"worker": ["a:1", "a:1"]}), "an address of its own"),
        (config({"chief": ["a:1", "b:1"]}, "chief"), "one chief at most"),
        (config(kind="evaluator"), "a task of type worker, received evaluator"),
        (config(index=2), "an index from 0 to 1 for worker, received 2"),
        (config(index=-1), "an index from 0 to 1 for worker, received -1"),
        (config(index="0"), 'an index from 0 to 1 for worker, received "0"'),
        (config(index=True), "an index from 0 to 1 for worker, received true"),
        (config(kind=["worker"]), "type worker, received ['worker']"),
    ],
)
def test_a_wrong_one_is_one_sentence(text, expected):
    with pytest.raises(UserError) as caught:
        read_cluster(text)
    assert expected in str(caught.value)
    assert "set it on every host to the like of {" in str(caught.value)
