"""What the server answers over each protocol is what the model answers."""

import gc
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.infer_type import InferInput
from kserve.protocol.infer_type import InferRequest
from kserve.protocol.infer_type import InferResponse
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype

from kgpm.errors import UserError
from kgpm.serving import Client
from kgpm.serving.kserve import server as kserve_server
from tests.serving import doubles

SIGNATURES = [
    *("serving_default", "read", "denoise", "score", "generate"),
    *("write", "prior", "update", "forget"),
]
LENGTH = "inference-header-content-length"
LOAD_SECONDS = float(os.environ.get("KGPM_LOAD_SECONDS", 3))


def v2_request(signature, inputs, raw, **more):
    tensors = []
    for name, value in inputs.items():
        array = np.asarray(value)
        tensor = InferInput(name, [*array.shape], from_np_dtype(array.dtype))
        if raw:
            tensor.set_data_from_numpy(array, binary_data=True)
        else:
            tensor.data = array.ravel().tolist()
        tensors.append(tensor)
    parameters = {"signature_name": signature, **more}
    return InferRequest("small", tensors, "7", parameters=parameters)


def arrays(response):
    assert (response.model_name, response.id) == ("small", "7")
    return {
        output.name: np.array(output.as_numpy()) for output in response.outputs
    }


@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_signature_over_rest_v1(server, exported, requests, signature):
    inputs = requests[signature]
    expected = exported.call(signature, inputs)
    lists = {name: np.asarray(value).tolist() for name, value in inputs.items()}
    status, answer = server.predict(signature, lists)
    assert status == 200
    outputs = answer["outputs"]
    if len(expected) == 1:
        outputs = dict.fromkeys(expected, outputs)
    found = {
        name: np.asarray(value, expected[name].dtype)
        for name, value in outputs.items()
    }
    doubles.assert_same(found, expected)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_signature_over_rest_v2(
    server, exported, requests, signature, binary
):
    more = {"binary_data_output": True} if binary else {}
    request = v2_request(signature, requests[signature], binary, **more)
    body, length = request.to_rest()
    headers = {LENGTH: str(length)} if binary else {}
    if not binary:
        body = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
    answer = server.pool.request(
        "POST",
        f"{server.url}/v2/models/small/infer",
        body=body,
        headers=headers,
    )
    assert answer.status == 200, answer.data
    if binary:
        response = InferResponse.from_bytes(
            answer.data, int(answer.headers[LENGTH])
        )
    else:
        response = InferResponse.from_rest(answer.json())
    doubles.assert_same(
        arrays(response), exported.call(signature, requests[signature])
    )


def infer(server, request, path="/v2/models/small/infer"):
    """Answer to a request in KServe's form, and how much of it is JSON."""
    body, length = request.to_rest()
    headers = {LENGTH: str(length)}
    answer = server.pool.request(
        "POST", server.url + path, body=body, headers=headers
    )
    assert answer.status == 200, answer.data
    return answer, int(answer.headers.get(LENGTH, len(answer.data)))


@pytest.mark.parametrize(
    ("every", "asked", "as_bytes"),
    [
        (None, {}, []),
        (False, {}, []),
        (True, {}, ["memory_id", "memory_mean"]),
        (None, {"memory_mean": None}, []),
        (True, {"memory_mean": None}, ["memory_mean"]),
        (True, {"memory_mean": False, "memory_id": None}, ["memory_id"]),
        (None, {"memory_mean": False, "memory_id": True}, ["memory_id"]),
    ],
)
def test_outputs_are_bytes_where_they_are_asked_for_as_bytes(
    server, exported, requests, every, asked, as_bytes
):
    more = {} if every is None else {"binary_data_output": every}
    request = v2_request("write", requests["write"], True, **more)
    request.request_outputs = [
        RequestedOutput(name, {} if flag is None else {"binary_data": flag})
        for name, flag in asked.items()
    ]
    answer, length = infer(server, request)
    outputs = json.loads(answer.data[:length])["outputs"]
    assert as_bytes == sorted(o["name"] for o in outputs if "data" not in o)
    assert (LENGTH in answer.headers) == bool(as_bytes)
    kind = "application/octet-stream" if as_bytes else "application/json"
    assert answer.headers["content-type"] == kind
    found = arrays(InferResponse.from_bytes(answer.data, length))
    expected = exported.call("write", requests["write"])
    assert list(found) == list(asked or expected)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])


def test_a_version_can_be_asked(server, exported, requests):
    request = v2_request("write", requests["write"], True)
    path = "/v2/models/small/versions/1/infer"
    answer, length = infer(server, request, path)
    found = arrays(InferResponse.from_bytes(answer.data, length))
    doubles.assert_same(found, exported.call("write", requests["write"]))


def test_what_needs_no_id_gets_none(server, requests):
    episode = requests["write"]["episode"]
    tensor = {"name": "episode", "shape": episode.shape, "datatype": "FP32"}
    body = {"inputs": [{**tensor, "data": episode.tolist()}]}
    status, answer = server.post("/v2/models/small/infer", body)
    assert status == 200
    assert sorted(answer) == ["model_name", "model_version", "outputs"]
    (output,) = answer["outputs"]
    # As the protocol has it: one list of all numbers.
    assert sorted(output) == ["data", "datatype", "name", "shape"]
    assert len(output["data"]) == episode.size


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_signature_over_grpc(stub, exported, requests, signature, raw):
    request = v2_request(signature, requests[signature], raw).to_grpc()
    answer = stub.ModelInfer(request)
    # As the request came.
    assert bool(answer.raw_output_contents) == raw
    doubles.assert_same(
        arrays(InferResponse.from_grpc(answer)),
        exported.call(signature, requests[signature]),
    )


def test_an_output_can_be_asked_for(stub, exported, requests):
    request = v2_request("write", requests["write"], raw=True).to_grpc()
    request.outputs.add(name="memory_id")
    (output,) = stub.ModelInfer(request).outputs
    assert output.name == "memory_id"


def test_a_request_without_a_signature_is_the_default(
    server, exported, requests
):
    inputs = requests["serving_default"]
    expected = exported.call("serving_default", inputs)["reconstruction"]
    # As TensorFlow Serving: a single input needs no name either.
    body = {"inputs": inputs["episode"].tolist()}
    for path in ("", "/versions/1"):
        status, answer = server.post(f"/v1/models/small{path}:predict", body)
        assert status == 200
        np.testing.assert_array_equal(np.float32(answer["outputs"]), expected)


def test_the_client_speaks_to_it(server, exported, requests, images):
    with Client(server.url, "small") as client:
        memory = client.write(images)
        doubles.assert_same(memory, exported.call("write", requests["write"]))
        (expected,) = exported.call("read", requests["read"]).values()
        read = client.read(images[:, :2], memory)
        np.testing.assert_array_equal(read, expected)
        with pytest.raises(UserError, match="steps of at least 1"):
            client.denoise(images, memory, steps=0)
    with Client(server.url, "other") as client:
        with pytest.raises(UserError, match="other does not exist"):
            client.write(images)


def test_what_the_server_says_of_its_model(server, exported):
    assert server.get("/v1/models") == (200, {"models": ["small"]})
    assert server.get("/v1/models/small")[1]["ready"] is True
    _, metadata = server.get("/v1/models/small/metadata")
    assert metadata["signatures"] == exported.signatures
    assert metadata["model_spec"] == {"name": "small", "version": "1"}
    _, metadata = server.get("/v2/models/small")
    (tensor,) = metadata["inputs"]
    assert tensor["shape"] == [-1, -1, 8, 8, 1]
    assert tensor["datatype"] == "FP32"
    assert server.get("/v2")[1]["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/"):
        assert server.get(path)[0] == 200
    metrics = server.pool.request("GET", server.url + "/metrics")
    assert b"request_predict_seconds" in metrics.data


def test_one_loopback_address_alone_is_listened_on(server, stub):
    assert stub.ServerLive(messages.ServerLiveRequest()).live
    for port in (server.port, int(server.grpc.rpartition(":")[2])):
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
        # A socket on all addresses would take this one too.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), 5)
        with pytest.raises(OSError):
            socket.create_connection(("::1", port), 5)


def test_threads_with_equal_seeds_get_equal_answers(server, exported, images):
    memory = exported.call("write", {"episode": images})
    # One after the other.
    expected = [
        exported.call(
            "generate",
            {
                **memory,
                "seed": np.int32([seed, 0]),
                "steps": np.int32(2),
                "num_samples": np.int32(2),
            },
        )["images"]
        for seed in range(15)
    ]

    def ask(_):
        return [
            client.generate(memory, 2, steps=2, seed=seed) for seed in range(15)
        ]

    with Client(server.url, "small", retries=0) as client:
        with ThreadPoolExecutor(8) as pool:
            for answers in pool.map(ask, range(8)):
                np.testing.assert_array_equal(answers, expected)


@pytest.mark.slow
def test_no_good_request_is_lost_among_bad_ones(server, exported, images):
    memory = exported.call("write", {"episode": images})
    (expected,) = exported.call("read", {**memory, "query": images}).values()
    wrong = [
        lambda client: client.read(images[:1], memory),
        lambda client: client.read(2 * images, memory),
        lambda client: client.denoise(images, memory, steps=0),
        lambda client: client.read(images[..., :7, :], memory),
        lambda client: client.generate(memory, 10**9),
    ]
    counts = {"good": 0, "refused": 0}
    lock = threading.Lock()
    end = time.monotonic() + LOAD_SECONDS

    def ask(number):
        generator = np.random.default_rng(number)
        while time.monotonic() < end:
            if generator.random() < 0.05:
                with pytest.raises(UserError, match="Expected"):
                    wrong[generator.integers(len(wrong))](client)
                kind = "refused"
            else:
                answer = client.read(images, memory)
                np.testing.assert_array_equal(answer, expected)
                kind = "good"
            with lock:
                counts[kind] += 1

    with Client(server.url, "small", retries=0) as client:
        with ThreadPoolExecutor(8) as pool:
            # Raises what a thread raised: a request that was lost.
            list(pool.map(ask, range(8)))
    print(f"{LOAD_SECONDS:.0f} s of load: {counts}")
    assert counts["good"] > 10 * LOAD_SECONDS
    assert counts["refused"] > 0


@pytest.mark.slow
def test_what_was_loaded_is_not_searched_for_garbage(
    small_export, exported, monkeypatch
):
    monkeypatch.setattr(kserve_server, "ExportedModel", lambda *_: exported)
    server = kserve_server.KServeServer(small_export, port=0)
    frozen = []

    async def serve(told, announce):
        frozen.append(gc.get_freeze_count())

    monkeypatch.setattr(server, "serve", serve)
    server.run()
    assert frozen[0] > 100_000
    assert gc.get_freeze_count() == 0
    server._socket.close()
