"""Bad requests: one sentence, the right status, and the server lives on."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages

from kgpm.serving import Client
from kgpm.serving import ServingError
from kgpm.serving.v2_message import read_message
from tests.serving.servers import server_process
from tests.serving.test_kserve_answers import v2_request

PREDICT = "/v1/models/small:predict"
INFER = "/v2/models/small/infer"


@pytest.fixture
def still_answers(server, stub, exported, requests):
    """Whether the server answers after the test as it did before."""
    yield
    inputs = {"episode": requests["write"]["episode"].tolist()}
    status, answer = server.predict("write", inputs)
    assert status == 200
    (expected,) = set(exported.call("write", requests["write"])["memory_id"])
    assert set(answer["outputs"]["memory_id"]) == {expected}
    request = v2_request("write", requests["write"], raw=True).to_grpc()
    assert len(stub.ModelInfer(request).outputs) == len(answer["outputs"])


def refused(answer, status, message):
    assert answer[0] == status, answer
    assert list(answer[1]) == ["error"]
    sentence = answer[1]["error"]
    assert message in sentence
    assert "\n" not in sentence and "Traceback" not in sentence
    assert len(sentence) < 600


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Expected a request as JSON"),
        (b"", "Expected a request as JSON"),
        (b"\xff\xfe", "Expected a request as JSON"),
        (b"[" * 100_000, "Expected a request as JSON"),
        (b'{"inputs": {"episode": NaN}}', "Expected a request as JSON"),
        (b"[1]", "Expected a JSON object"),
        (b"null", "Expected a JSON object"),
        (b"{}", "received a request without inputs"),
        (b'{"instances": [{"episode": 1}]}', "instances are not taken"),
        (b'{"signature_name": "nope", "inputs": {}}', "one of serving_default"),
        (b'{"signature_name": [1], "inputs": {}}', "to be a name"),
        (b'{"inputs": {}}', "Expected the inputs episode"),
        (b'{"inputs": null}', "Expected episode of dtype"),
        (b'{"inputs": {"episode": null}}', "Expected episode of dtype"),
        (b'{"inputs": {"episode": "a"}}', "Expected episode of dtype"),
        (b'{"inputs": {"episode": {"b64": "aa"}}}', "Expected episode of"),
        (b'{"inputs": {"episode": [[1], [2, 3]]}}', "different lengths"),
        (b'{"inputs": {"episode": []}}', "Expected episode of shape"),
        (b'{"signature_name": "read", "inputs": 1}', "inputs by their names"),
        (b'{"signature_name": "prior", "inputs": 0}', "of at least 1"),
        (b'{"signature_name": "prior", "inputs": 1e9}', "of dtype int32"),
        (b'{"signature_name": "prior", "inputs": 99999999999}', "int32"),
        (b'{"signature_name": "prior", "inputs": 999999999}', "at most"),
        (
            b'{"signature_name": "' + b"a" * 100_000 + b'", "inputs": 1}',
            "one of serving_default",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_is_no_request(server, still_answers, body, message):
    refused(server.post(PREDICT, body), 400, message)


@pytest.mark.parametrize(
    ("signature", "change", "message"),
    [
        ("read", lambda r: r["query"][0].pop(), "different lengths"),
        ("read", lambda r: r.pop("memory_mean"), "Expected the inputs query"),
        (
            "read",
            lambda r: r.update(memory_id=[1, 1]),
            "a memory that this model wrote",
        ),
        (
            "read",
            lambda r: r["memory_mean"][0].append([0.0] * 10),
            "different lengths",
        ),
        (
            "read",
            lambda r: r["memory_mean"][0][0].__setitem__(0, None),
            "memory_mean of dtype",
        ),
        (
            "read",
            lambda r: r["memory_mean"][0][0].__setitem__(0, 1e300),
            "NaN or an infinity",
        ),
        (
            "write",
            lambda r: r.update(episode=r["episode"] * 33),
            "at most 64 on its first axis, received 66",
        ),
        ("denoise", lambda r: r.update(steps=[1]), "steps of shape"),
        ("generate", lambda r: r.update(num_samples=10**9), "at most"),
        ("generate", lambda r: r.update(seed=[1, 2**31]), "within int32"),
    ],
)
def test_inputs_that_are_wrong(
    server, still_answers, requests, signature, change, message
):
    inputs = {k: np.asarray(v).tolist() for k, v in requests[signature].items()}
    change(inputs)
    refused(server.predict(signature, inputs), 400, message)


def test_what_is_not_there(server, still_answers):
    refused(server.post("/v1/models/other:predict", {}), 404, "other")
    refused(server.post("/v2/models/other/infer", {"inputs": []}), 404, "other")
    path = "/v1/models/small/versions/9:predict"
    refused(server.post(path, {}), 404, "version 9")
    refused(server.get("/v1/models/other"), 404, "other")
    refused(server.get("/v1/models/other/metadata"), 404, "other")
    refused(server.get("/nowhere"), 404, "Not Found")
    refused(server.get("/docs"), 404, "Not Found")
    refused(server.post("/v1/models/small:explain", {}), 501, "explain")


def test_the_model_cannot_be_taken_away(server, stub, still_answers):
    for verb in ("load", "unload"):
        path = f"/v2/repository/models/small/{verb}"
        refused(server.post(path, {}), 400, "on request")
    for method, message in [
        (stub.RepositoryModelLoad, messages.RepositoryModelLoadRequest),
        (stub.RepositoryModelUnload, messages.RepositoryModelUnloadRequest),
    ]:
        with pytest.raises(grpc.RpcError) as caught:
            method(message(model_name="small"))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


TENSOR = {"name": "episode", "shape": [1], "datatype": "FP32", "data": [1]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "protocol v2"),
        (b"{", "protocol v2"),
        (b"[1]", "protocol v2"),
        (b'"abc"', "protocol v2"),
        (b"[" * 100_000, "protocol v2"),
        ({}, "with inputs, a list"),
        ({"inputs": 3}, "with inputs, a list"),
        # A second of work for everybody's loop once, and an error for each.
        ({"inputs": [0] * 100_001}, "a list of at most 64"),
        ({"inputs": [0]}, "with a name"),
        ({"inputs": [{"name": ["a"]}]}, "with a name"),
        ({"inputs": [{"name": "episode"}]}, "of a datatype like"),
        ({"inputs": []}, "Expected the inputs episode"),
        ({"inputs": [TENSOR]}, "episode of shape"),
        ({"inputs": [TENSOR, TENSOR]}, "episode once"),
        ({"inputs": [{**TENSOR, "shape": []}]}, "episode of shape"),
        ({"inputs": [{**TENSOR, "shape": [7]}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "shape": [2**40] * 5}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "shape": 1}]}, "the shape of episode"),
        ({"inputs": [{**TENSOR, "shape": [-5]}]}, "the shape of episode"),
        ({"inputs": [{**TENSOR, "shape": [True]}]}, "the shape of episode"),
        ({"inputs": [{**TENSOR, "shape": [1] * 33}]}, "the shape of episode"),
        ({"inputs": [{**TENSOR, "data": None}]}, "neither or both"),
        ({"inputs": [{**TENSOR, "data": 1}]}, "neither or both"),
        ({"inputs": [{**TENSOR, "data": [None]}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "data": ["a"]}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "data": [{}]}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "data": [[1], [2, 3]]}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "data": [[1], 2]}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "data": [[1], "2"]}]}, "as many numbers"),
        ({"inputs": [{**TENSOR, "datatype": "FOO"}]}, "of a datatype like"),
        ({"inputs": [{**TENSOR, "datatype": "BYTES"}]}, "of a datatype like"),
        ({"inputs": [{**TENSOR, "datatype": ["FP32"]}]}, "of a datatype like"),
        ({"inputs": [], "id": 5}, "id of a request"),
        ({"inputs": [], "parameters": 5}, "parameters as a JSON object"),
        (
            {"inputs": [], "parameters": {"binary_data_output": "yes"}},
            "binary_data_output to be true or false",
        ),
        ({"inputs": [], "outputs": [3]}, "outputs as a list"),
        ({"inputs": [], "outputs": {"name": "a"}}, "outputs as a list"),
        ({"inputs": [], "outputs": [{"name": 3}]}, "outputs as a list"),
        ({"inputs": [], "outputs": [{"name": "a"}] * 65}, "outputs as a list"),
        (
            {"inputs": [TENSOR], "parameters": {"signature_name": 3}},
            "to be a name",
        ),
        (
            {"inputs": [TENSOR], "parameters": {"signature_name": "nope"}},
            "one of serving_default",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_v2_body_that_is_no_request(server, still_answers, body, message):
    refused(server.post(INFER, body), 400, message)


BINARY = {"name": "seed", "shape": [1], "datatype": "FP32"}


@pytest.mark.parametrize("length", ["9", "abc", "-1", "+1", "0", "99999999"])
@pytest.mark.parametrize("size", [-5, 3, 10**12, "a", None])
def test_a_binary_v2_body_that_is_none(server, still_answers, size, length):
    tensor = {**BINARY, "parameters": {"binary_data_size": size}}
    body = json.dumps({"inputs": [tensor]}).encode() + b"abcd"
    headers = {"inference-header-content-length": length}
    refused(server.post(INFER, body, headers), 400, "Expected")
    headers["inference-header-content-length"] = str(len(body) - 4)
    refused(server.post(INFER, body, headers), 400, "Expected seed")


@pytest.mark.parametrize("length", ["", "9" * 5000, "1_0", "\u00b2", "1.0"])
def test_a_length_of_the_json_that_is_none(server, still_answers, length):
    headers = {"inference-header-content-length": length.encode("latin-1")}
    refused(server.post(INFER, b"{}", headers), 400, "Inference-Header-Content")


def test_what_was_sent_is_read_where_calls_run(server, requests, monkeypatch):
    """No body makes everybody wait while it is read."""
    readers = []

    def read(*arguments):
        readers.append(threading.current_thread().name)
        return read_message(*arguments)

    monkeypatch.setattr("kgpm.serving.kserve.rest_call.read_message", read)
    with Client(server.url, "small") as client:
        client.write(requests["write"]["episode"])
    refused(server.post(INFER, b"{"), 400, "protocol v2")
    assert len(readers) == 2
    assert all(name.startswith("call") for name in readers)


def test_cloud_events_are_requests_like_any_other(server, still_answers):
    headers = {"ce-id": "1", "ce-type": "a", "ce-source": "b"}
    headers["ce-specversion"] = "1.0"
    refused(server.post(PREDICT, b"{}", headers), 400, "without inputs")


def test_a_request_that_is_too_large(server, stub, still_answers):
    body = b" " * (17 * 2**20)
    refused(server.post(PREDICT, body), 413, "at most 16777216 bytes")
    refused(server.post(INFER, body), 413, "at most 16777216 bytes")
    # Who sends in chunks does not say how much.
    chunks = (b" " * 2**20 for _ in range(17))
    refused(server.post(PREDICT, chunks), 413, "at most 16777216 bytes")
    with pytest.raises(grpc.RpcError, match="larger than max") as caught:
        stub.ModelInfer(messages.ModelInferRequest(raw_input_contents=[body]))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_connection_that_breaks_in_the_middle(server, still_answers):
    for head in (
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n{",
        b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r",
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n{",
        b"\x00\x01\x02 %b",
    ):
        with socket.create_connection(("127.0.0.1", server.port), 5) as link:
            link.sendall(head % PREDICT.encode())


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            lambda r: r.ClearField("inputs"),
            "INVALID_ARGUMENT",
            "number of inputs",
        ),
        (
            lambda r: r.raw_input_contents.append(b"a"),
            "INVALID_ARGUMENT",
            "number of inputs",
        ),
        (
            lambda r: r.inputs[0].shape.append(3),
            "INVALID_ARGUMENT",
            "as many numbers",
        ),
        (
            lambda r: setattr(r.inputs[0], "datatype", "INT9"),
            "INVALID_ARGUMENT",
            "content type",
        ),
        (
            lambda r: setattr(r.inputs[0], "datatype", "BYTES"),
            "INVALID_ARGUMENT",
            "of a datatype like",
        ),
        (
            lambda r: setattr(r.inputs[0], "name", "a" * 100_000),
            "INVALID_ARGUMENT",
            "Expected the inputs",
        ),
        (
            lambda r: setattr(r.parameters["signature_name"], "int64_param", 3),
            "INVALID_ARGUMENT",
            "to be a name",
        ),
        (
            lambda r: setattr(r, "model_version", "9"),
            "INVALID_ARGUMENT",
            "Expected version 1",
        ),
        (lambda r: r.outputs.add(name="b"), "INVALID_ARGUMENT", "out of"),
        (lambda r: setattr(r, "model_name", "other"), "NOT_FOUND", "other"),
    ],
)
def test_a_grpc_request_that_is_wrong(
    stub, still_answers, requests, change, code, message
):
    request = v2_request("write", requests["write"], raw=True).to_grpc()
    change(request)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request)
    assert caught.value.code().name == code
    assert message in caught.value.details()
    assert len(caught.value.details()) < 600


def test_half_a_grpc_message(server, still_answers, requests):
    whole = v2_request("write", requests["write"], raw=True).to_grpc()
    data = whole.SerializeToString()
    with grpc.insecure_channel(server.grpc) as channel:
        method = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda data: data,
            response_deserializer=lambda data: data,
        )
        for size in (1, len(data) // 2, len(data) - 1):
            with pytest.raises(grpc.RpcError) as caught:
                method(data[:size])
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "bytes that are none" in caught.value.details()
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/inference.GRPCInferenceService/Nope")(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.slow
def test_a_small_server_refuses_stays_healthy_and_ends_what_it_began(
    small_export, exported, images, tmp_path
):
    """One call at a time and four that wait; then SIGTERM."""
    flags = ["--max_concurrency=1", "--max_batch=1", "--max_request_mb=1"]
    log = tmp_path / "stderr"
    inputs = exported.call("write", {"episode": images[:1]})
    inputs = {k: v.tolist() for k, v in inputs.items()}
    inputs |= {"query": images[:1, :1].tolist(), "steps": 4000}
    with server_process(small_export, log, *flags) as server:
        answer = server.predict("write", {"episode": images.tolist()})
        refused(answer, 400, "at most 1 on its first axis, received 2")
        answer = server.post(PREDICT, b" " * (2**20 + 1))
        refused(answer, 413, "at most 1048576 bytes")
        with ThreadPoolExecutor(12) as pool:
            waiting = [
                pool.submit(server.predict, "denoise", inputs)
                for _ in range(12)
            ]
            done = threading.Event()
            asked = 0
            while not all(answer.done() for answer in waiting):
                assert server.get("/v2/health/ready")[0] == 200
                asked += 1
                done.wait(0.05)
            statuses = sorted(answer.result()[0] for answer in waiting)
        assert asked > 1
        assert statuses.count(200) >= 5
        assert statuses.count(200) + statuses.count(503) == 12
        assert 503 in statuses
        busy = [a.result() for a in waiting if a.result()[0] == 503]
        refused(busy[0], 503, "ask again later")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(server.predict, "denoise", inputs)
            time.sleep(0.3)
            assert not answer.done()
            server.process.terminate()
            assert answer.result()[0] == 200
        assert server.process.wait(60) == 0
        assert server.process.stdout.read() == ""
        with Client(server.url, "small", retries=0) as client:
            with pytest.raises(ServingError, match="cannot be reached"):
                client.prior(1)
    assert log.read_text() == ""
