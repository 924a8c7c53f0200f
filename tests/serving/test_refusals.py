"""What an export refuses, and that its graph needs no help with that."""

import numpy as np
import pytest

from kgpm import UserError
from kgpm.serving.export.versions import latest_version
from tests.serving.other_processes import ask


def refused(memory, images):
    """Requests that a graph must refuse, and a word of the sentence."""
    write = {"episode": images}
    read = {"query": images, **memory}
    denoise = {**read, "steps": np.int32(2)}
    generate = {
        **memory,
        "seed": np.array([1, 2], "int32"),
        "steps": np.int32(1),
        "num_samples": np.int32(1),
    }
    score = {**read, "seed": np.array([1, 2], "int32")}
    other = {"memory_id": memory["memory_id"] + 1}
    nan = np.where(images > 0, np.nan, 0).astype("float32")
    return [
        ("write", {"episode": nan}, "pixels of episode"),
        ("write", {"episode": images + 1.0}, "pixels of episode"),
        ("write", {"episode": images[:, :0]}, "shape"),
        ("write", {"episode": images[:0]}, "shape"),
        ("write", {"episode": images[..., :4, :]}, "shape"),
        ("write", {"episode": images[0]}, "shape"),
        ("read", {**read, **other}, "a memory that this model wrote"),
        ("read", {**read, "query": images[:1]}, "as many episodes"),
        (
            "read",
            {**read, "memory_mean": memory["memory_mean"][:, :3]},
            "memory_mean of shape",
        ),
        (
            "read",
            {**read, "memory_mean": memory["memory_mean"] * np.inf},
            "numbers in memory_mean",
        ),
        ("denoise", {**denoise, "steps": np.int32(0)}, "steps of at least 1"),
        ("denoise", {**denoise, "steps": np.int32(-1)}, "steps of at least"),
        ("denoise", {**denoise, "steps": np.int32(10**9)}, "at most 8388608"),
        ("generate", {**generate, "steps": np.int32(10**9)}, "at most"),
        ("generate", {**generate, "num_samples": np.int32(0)}, "at least 1"),
        (
            "generate",
            {**generate, "num_samples": np.int32(2**31 - 1)},
            "at most",
        ),
        ("score", {**score, "query": images * 0.5}, "exactly 0 or 1"),
        ("prior", {"batch_size": np.int32(0)}, "batch_size of at least 1"),
        ("prior", {"batch_size": np.int32(10**9)}, "at most"),
        (
            "update",
            {
                "episode": images,
                "memory_id": memory["memory_id"],
                "statistics": np.zeros([1, 10, 10]),
            },
            "statistics for as many",
        ),
        (
            "forget",
            {
                "episode": images,
                "memory_id": memory["memory_id"],
                "statistics": np.full([2, 10, 10], np.nan),
            },
            "numbers in statistics",
        ),
        # After all of them, it still answers.
        ("write", write, None),
    ]


@pytest.mark.slow
def test_the_graph_refuses_what_a_server_lets_through(
    small_export, exported, images, tmp_path
):
    """Nothing but the graph checks a request of the C API."""
    memory = exported.call("write", {"episode": images})
    found = refused(memory, images)
    # A shape that is wholly known is checked by what takes the tensor, in
    # TensorFlow's words.
    seed, steps = np.ones([3], "int32"), np.ones([3], "int32")
    generate = next(inputs for name, inputs, _ in found if name == "generate")
    # Of two mistakes either may be found first.
    generate = {**generate, "steps": np.int32(1), "num_samples": np.int32(1)}
    found[:0] = [
        ("generate", {**generate, "seed": seed}, "shape [2]"),
        ("generate", {**generate, "steps": steps}, "scalar"),
    ]
    path = latest_version(small_export)
    results = ask(path, found, tmp_path)
    for result, (signature, _, words) in zip(results, found, strict=True):
        if words is None:
            assert set(result) == set(memory)
        else:
            assert words in str(result.get("error")), (signature, result)


def test_an_export_refuses_in_one_sentence(exported, images):
    memory = exported.call("write", {"episode": images})
    for signature, inputs, words in refused(memory, images)[:-1]:
        with pytest.raises(UserError) as raised:
            exported.call(signature, inputs)
        sentence = str(raised.value)
        assert sentence.startswith("Expected ")
        assert "eceived" in sentence
        assert "\n" not in sentence
        assert len(sentence) < 200
        assert words.split()[-1] in sentence


@pytest.mark.parametrize(
    ("signature", "inputs", "words"),
    [
        ("nope", {}, "signature_name to be one of"),
        ("prior", {}, "the inputs batch_size for prior, received none"),
        ("prior", {"batch_size": 1, "more": 2}, "received batch_size, more"),
        ("prior", {"batch_size": "one"}, "dtype int32"),
        ("prior", {"batch_size": 1.5}, "dtype int32"),
        ("prior", {"batch_size": [1]}, "shape []"),
        ("prior", {"batch_size": 2**40}, "within int32"),
        ("prior", {"batch_size": None}, "dtype int32"),
        ("write", {"episode": [[1], [1, 2]]}, "lists of different lengths"),
        ("write", {"episode": [["a"]]}, "dtype float32"),
    ],
)
def test_what_is_no_request_is_refused(exported, signature, inputs, words):
    with pytest.raises(UserError) as raised:
        exported.call(signature, inputs)
    assert words in str(raised.value)
