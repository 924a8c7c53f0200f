"""The client: gRPC and JSON of doubles of TensorFlow Serving, and bytes."""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kgpm.errors import UserError
from kgpm.serving import Client
from kgpm.serving import ServingError
from tests.serving import doubles
from tests.serving.other_processes import TRAINING
from tests.serving.other_processes import output_without

BINARY = (200, '{"extensions": ["a", "binary_tensor_data"]}')


@pytest.fixture(scope="module")
def rest_address(exported):
    with doubles.rest_server(doubles.Rest(exported)) as address:
        yield address


@pytest.fixture(scope="module")
def addresses(grpc_address, rest_address, server):
    """Of doubles of TensorFlow Serving, and of a server that takes bytes."""
    return {"grpc": grpc_address, "json": rest_address, "binary": server.url}


@pytest.fixture(scope="module", params=["grpc", "json", "binary"])
def client(request, addresses):
    with Client(addresses[request.param], "small") as client:
        yield client


@pytest.fixture(scope="module")
def memory(exported, images):
    return exported.call("write", {"episode": images})


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_write_and_prior(client, exported, images, requests):
    expected = exported.call("write", requests["write"])
    doubles.assert_same(client.write(images), expected)
    expected = exported.call("prior", requests["prior"])
    doubles.assert_same(client.prior(2), expected)


def test_reading_takes_the_memory_as_written(
    client, exported, images, requests
):
    memory = client.write(images)
    query = images[:, :2]
    pairs = {
        "serving_default": client.reconstruct(images),
        "read": client.read(query, memory),
        "denoise": client.denoise(query, memory, steps=3),
        "generate": client.generate(memory, 2, steps=3, seed=[3, 4]),
    }
    for name, answer in pairs.items():
        (expected,) = exported.call(name, requests[name]).values()
        assert answer.dtype == np.float32
        np.testing.assert_array_equal(answer, expected, err_msg=name)
    scores = client.score(query, memory, seed=[3, 4])
    doubles.assert_same(scores, exported.call("score", requests["score"]))


def test_update_begins_with_the_prior_and_forget_goes_back(client, images):
    written = client.update(images)
    assert written["statistics"].dtype == np.float64
    assert written["memory_id"].dtype == np.int32
    more = client.update(images[:, ::-1], written)
    assert not np.allclose(more["statistics"], written["statistics"])
    less = client.forget(images[:, ::-1], more)
    np.testing.assert_allclose(
        less["statistics"], written["statistics"], atol=1e-9
    )
    # Reading takes no statistics.
    assert client.read(images, less).shape == images.shape


def test_an_integer_is_the_seed_that_the_models_make_of_it(
    client, exported, memory
):
    from kgpm.ops import random

    inputs = {**memory, "seed": random.make_seed(7).numpy()}
    inputs |= {"steps": np.int32(1), "num_samples": np.int32(1)}
    expected = exported.call("generate", inputs)["images"]
    np.testing.assert_array_equal(client.generate(memory, seed=7), expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda c, x, m: c.write(x[0]),
            r"Expected episode of shape \[n, n, 8, 8, 1\], received \[3, 8",
        ),
        (lambda c, x, m: c.read(x, {}), "Expected the inputs query, memory_id"),
        (lambda c, x, m: c.denoise(x, m, steps=1.5), "steps to be an int32"),
        (lambda c, x, m: c.denoise(x, m, steps=2**40), "steps to be an int32"),
        (
            lambda c, x, m: c.read(x, {**m, "memory_id": m["memory_id"] + 1}),
            "Expected a memory that this model wrote",
        ),
        (lambda c, x, m: c.update(x, m), "a memory with statistics"),
        (lambda c, x, m: c.generate(m, seed=[1, 2, 3]), "integer or two"),
        (lambda c, x, m: c.write([[1, 2], [3]]), "lists of different lengths"),
        (lambda c, x, m: c.write([["a"]]), "Expected numbers in episode"),
    ],
)
def test_a_wrong_request_is_a_users_mistake_in_one_sentence(
    client, images, memory, wrong, message
):
    with pytest.raises(UserError, match=message) as caught:
        wrong(client, images, memory)
    assert "\n" not in str(caught.value)


def test_nan_is_refused_over_either_transport(client, images, memory):
    nan = np.full_like(images, np.nan)
    with pytest.raises(UserError, match="nan|NaN"):
        client.write(nan)


def test_a_model_or_version_that_is_not_there(grpc_address, images):
    for wrong in ({"model": "other"}, {"model": "small", "version": 7}):
        with Client(grpc_address, **wrong) as client:
            with pytest.raises(UserError, match="not found"):
                client.write(images)


def test_the_path_names_model_and_version(exported, images):
    rest = doubles.Rest(exported)
    with doubles.rest_server(rest) as address:
        with Client(address + "/", "small", version=1) as client:
            client.write(images)
        with Client(address, "a/b") as client:
            client.write(images)
    assert rest.paths == [
        "/v1/models/small/versions/1:predict",
        "/v1/models/a%2Fb:predict",
    ]


def test_a_server_is_asked_once_whether_it_takes_bytes(exported, images):
    rest = doubles.Rest(exported, [(404, "{}")] * 3, metadata=[BINARY])
    with doubles.rest_server(rest) as address:
        with Client(address, "small", version=1) as client:
            assert rest.asked == []
            for _ in range(2):
                with pytest.raises(UserError):
                    client.write(images)
        assert rest.asked == ["/v2"]
        # Another client asks anew, and hears that there is no such thing.
        with Client(address, "small") as client:
            with pytest.raises(UserError):
                client.write(images)
            client.write(images)
    assert rest.asked == ["/v2", "/v2"]
    assert rest.paths == [
        "/v2/models/small/versions/1/infer",
        "/v2/models/small/versions/1/infer",
        "/v1/models/small:predict",
        "/v1/models/small:predict",
    ]
    # JSON, and behind it the bytes of the images.
    assert rest.bodies[0].endswith(images.tobytes())
    assert json.loads(rest.bodies[0][: -images.nbytes])
    assert json.loads(rest.bodies[-1])


@pytest.mark.parametrize(
    "metadata",
    [
        (400, '{"error": "Malformed request: GET /v2"}'),
        (501, ""),
        (302, ""),
        (200, "<html>"),
        (200, "[1]"),
        (200, '{"name": "a", "extensions": null}'),
        (200, '{"name": "a", "extensions": ["model_repository_extension"]}'),
    ],
)
def test_every_other_server_gets_json(exported, images, metadata):
    rest = doubles.Rest(exported, metadata=[metadata])
    with doubles.rest_server(rest) as address, Client(address, "small") as c:
        assert c.reconstruct(images).shape == images.shape
    assert rest.paths == ["/v1/models/small:predict"]


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_is_busy_is_asked_again(exported, images, status):
    busy = (status, '{"error": "starting"}')
    rest = doubles.Rest(exported, [(404, "{}")], metadata=[busy, BINARY])
    with doubles.rest_server(rest) as address:
        with Client(address, "small", retries=0) as client:
            with pytest.raises(ServingError, match="no answer: starting"):
                client.write(images)
            assert rest.paths == []
            with pytest.raises(UserError):
                client.write(images)
    assert rest.paths == ["/v2/models/small/infer"]


@pytest.mark.parametrize(
    "answer",
    [
        "[1]",
        "<html>",
        "{}",
        '{"outputs": [{"name": "a", "shape": [1], "datatype": "FP32"}]}',
        '{"outputs": [{"name": "a", "shape": [1], "datatype": "FP32", '
        '"parameters": {"binary_data_size": 4}}]}',
    ],
)
def test_what_is_no_answer_in_bytes(exported, images, answer):
    rest = doubles.Rest(exported, [(200, answer)], metadata=[BINARY])
    with doubles.rest_server(rest) as address, Client(address, "small") as c:
        with pytest.raises(ServingError, match="something else than protocol"):
            c.write(images)


def test_dtypes_that_cannot_be_sent_as_bytes(server, images):
    with Client(server.url, "small") as client:
        with pytest.raises(UserError, match="of a dtype like float32"):
            client.call("write", {"episode": np.array(["a"])})


def test_answers_can_be_written_to(client, images):
    for value in client.write(images).values():
        value += 1


def test_the_sentence_of_a_check_is_found_in_tensorflows_report(exported):
    report = (
        "2 root error(s) found. assertion failed: [Expected steps of at least "
        "1, received] [0]\n\t [[{{node Assert}}]]"
    )
    rest = doubles.Rest(exported, [(400, json.dumps({"error": report}))])
    with doubles.rest_server(rest) as address, Client(address, "small") as c:
        with pytest.raises(UserError, match="^Expected steps .* received 0$"):
            c.prior(1)


@pytest.mark.parametrize(
    "planted", [[(503, "{}")], [None], [(502, ""), (504, "")]]
)
def test_rest_tries_again(exported, images, planted):
    rest = doubles.Rest(exported, planted)
    with doubles.rest_server(rest) as address, Client(address, "small") as c:
        assert c.reconstruct(images).shape == images.shape
    assert len(rest.bodies) == 1 + len(planted)
    assert len(set(rest.bodies)) == 1


def test_rest_gives_up_with_the_servers_sentence(exported, images):
    rest = doubles.Rest(exported, [(503, '{"error": "too many"}')] * 9)
    with doubles.rest_server(rest) as address:
        with Client(address, "small", retries=1) as client:
            with pytest.raises(ServingError, match="no answer: too many"):
                client.write(images)
    assert len(rest.bodies) == 2


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((200, "[1]"), ServingError, "something else"),
        ((200, "<html>"), ServingError, "something else"),
        ((200, '{"outputs": {"a": "b"}}'), ServingError, "something else"),
        ((404, "<html>"), UserError, "HTTP status 404"),
        ((413, '{"error": "too large"}'), UserError, "too large"),
        ((429, "{}"), ServingError, "HTTP status 429"),
        ((500, '{"error": "a defect"}'), ServingError, "a defect"),
    ],
)
def test_what_is_no_answer(exported, images, answer, error, message):
    rest = doubles.Rest(exported, [answer])
    with doubles.rest_server(rest) as address, Client(address, "small") as c:
        with pytest.raises(error, match=message) as caught:
            c.write(images)
    # A refusal and a missing answer are told apart.
    assert isinstance(caught.value, UserError) == (error is UserError)
    assert len(rest.bodies) == 1


def test_grpc_tries_again(exported, images):
    # Larger than what gRPC keeps for another attempt by default.
    many = np.tile(images, (1, 300, 1, 1, 1))
    predictor = doubles.Predictor(exported, failures=2)
    with doubles.grpc_server(exported, predictor) as address:
        with Client(address, "small") as client:
            assert client.write(many)["memory_id"].shape == (2,)
    assert len(predictor.requests) == 3
    assert many.nbytes > 2**18


def test_grpc_without_retries_does_not(exported, images):
    predictor = doubles.Predictor(exported, failures=1)
    with doubles.grpc_server(exported, predictor) as address:
        with Client(address, "small", retries=0) as client:
            with pytest.raises(ServingError, match="no answer: starting"):
                client.write(images)
    assert len(predictor.requests) == 1


@pytest.mark.slow
def test_a_slow_server_is_not_waited_for_and_not_asked_again(exported, images):
    predictor = doubles.Predictor(exported, delay=1)
    rest = doubles.Rest(exported, delay=1)
    with (
        doubles.grpc_server(exported, predictor) as grpc_address,
        doubles.rest_server(rest) as rest_address,
    ):
        for address in (grpc_address, rest_address):
            start = time.monotonic()
            with Client(address, "small", timeout=0.2) as client:
                with pytest.raises(ServingError, match="within 0.2 s"):
                    client.write(images)
            assert time.monotonic() - start < 0.9
        time.sleep(1)
    assert len(predictor.requests) == len(rest.bodies) == 1


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_an_unreachable_server(scheme, images):
    address = f"{scheme}://127.0.0.1:{closed_port()}"
    with Client(address, "small", retries=1) as client:
        with pytest.raises(ServingError, match=address) as caught:
            client.write(images)
    assert not isinstance(caught.value, UserError)
    assert "refused" in str(caught.value)


@pytest.mark.slow
def test_a_client_waits_for_a_server_that_restarts(exported, images):
    port = closed_port()
    with Client(f"grpc://127.0.0.1:{port}", "small", retries=4) as client:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.write, images)
            time.sleep(0.2)
            with doubles.grpc_server(exported, port=port):
                assert answer.result()["memory_id"].shape == (2,)


def test_a_message_larger_than_the_limit_is_refused(exported, images):
    with doubles.grpc_server(exported, max_bytes=1000) as address:
        with Client(address, "small") as client:
            with pytest.raises(UserError, match="larger than max"):
                client.write(images)
        with Client(address, "small", max_message_mb=0.001) as client:
            with pytest.raises(UserError, match="larger than max"):
                client.write(images)


@pytest.mark.slow
def test_many_threads_share_a_client(client, images):
    memory = client.write(images)

    def ask(seed):
        return client.generate(memory, seed=seed)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [0, 1] * 20))
    for i, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, answers[i % 2])
    assert not np.array_equal(answers[0], answers[1])


def test_a_closed_client_says_so(grpc_address, rest_address, images):
    for address in (grpc_address, rest_address):
        client = Client(address, "small")
        client.write(images)
        client.close()
        client.close()
        with pytest.raises(UserError, match="closed"):
            client.write(images)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8500", "ftp://host:1", "grpc://host", "http://", "http://h:x"],
)
def test_an_address_must_be_one(address):
    with pytest.raises(UserError, match="Expected an address like grpc://"):
        Client(address, "small")


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": ""},
        {"timeout": 0},
        {"timeout": -1},
        {"retries": 5},
        {"retries": -1},
        {"max_message_mb": 0},
    ],
)
def test_wrong_arguments(arguments):
    with pytest.raises(UserError, match="Expected"):
        Client("http://127.0.0.1:1", **{"model": "small", **arguments})


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grpc", "json", "binary"])
def test_a_client_needs_no_keras_and_over_rest_no_tensorflow(way, addresses):
    blocked, address = TRAINING, addresses[way]
    if way != "grpc":
        blocked += ("tensorflow", "grpc", "tensorflow_serving", "kserve")
    code = (
        "import numpy as np\n"
        "from kgpm.serving import Client\n"
        f"with Client({address!r}, 'small') as client:\n"
        "    print(client.write(np.zeros([1, 2, 8, 8, 1]))['memory_id'].shape)"
    )
    assert output_without(blocked, code) == "(1,)\n"


def test_missing_packages_are_named(monkeypatch):
    name = "kgpm.serving.client.grpc_transport"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    monkeypatch.delitem(sys.modules, "tensorflow_serving.apis", raising=False)
    with pytest.raises(UserError, match=r"pip install 'kgpm\[serving\]'"):
        Client("grpc://127.0.0.1:1", "tiny")
