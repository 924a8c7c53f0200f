"""Doubles of an export, and of TensorFlow Serving around one."""

import contextlib
import http.server
import json
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from kgpm.errors import UserError
from kgpm.serving.export.signatures import Signatures
from kgpm.serving.inputs import sentence_of
from kgpm.serving.served_model import ServedModel


class EagerModel(ServedModel):
    """The signatures of a model without an export, which takes seconds."""

    version = 1

    def __init__(self, model, path):
        self.name, self.path = path.name, path
        self.image_shape = model.image_shape
        self.signatures = Signatures(model).all()

    def call(self, signature, inputs):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        try:
            outputs = self.signatures[signature].function(**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise UserError(sentence_of(error.message)) from error
        return {name: value.numpy() for name, value in outputs.items()}


class Predictor(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict; the first `failures` calls find it unavailable."""

    def __init__(self, exported, failures=0, delay=0.0):
        self.exported = exported
        self.failures = failures
        self.delay = delay
        self.requests = []

    def Predict(self, request, context):
        self.requests.append(request)
        time.sleep(self.delay)
        if self.failures:
            self.failures -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        spec = request.model_spec
        version = spec.version.value or self.exported.version
        if (spec.name, version) != (self.exported.name, self.exported.version):
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: Specific({spec.name}, "
                f"{version})",
            )
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        try:
            outputs = self.exported.call(spec.signature_name, inputs)
        except UserError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


@contextlib.contextmanager
def grpc_server(exported, predictor=None, port=0, max_bytes=64 * 2**20):
    """Gives the address of a server on loopback."""
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        predictor or Predictor(exported), server
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


class Rest:
    """TensorFlow Serving's REST form, with answers that a test plants.

    Each of `planted` answers one request before the model does: a status and
    a body, or `None` for a connection that is dropped. Each of `metadata` is
    what one GET is answered with; TensorFlow Serving has nothing at `/v2`.
    """

    def __init__(self, exported, planted=(), delay=0.0, metadata=()):
        self.exported = exported
        self.planted = list(planted)
        self.metadata = list(metadata)
        self.delay = delay
        self.asked = []
        self.paths = []
        self.bodies = []

    def describe(self, path):
        self.asked.append(path)
        return self.metadata.pop(0) if self.metadata else (404, "Not Found")

    def answer(self, path, body):
        self.paths.append(path)
        self.bodies.append(body)
        time.sleep(self.delay)
        if self.planted:
            return self.planted.pop(0)
        request = json.loads(body)
        try:
            outputs = self.exported.call(
                request["signature_name"], request["inputs"]
            )
        except UserError as error:
            return 400, json.dumps({"error": str(error)})
        lists = {name: value.tolist() for name, value in outputs.items()}
        if len(lists) == 1:
            (lists,) = lists.values()
        return 200, json.dumps({"outputs": lists})


@contextlib.contextmanager
def rest_server(rest):
    """Gives the address of a server on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            length = int(self.headers["Content-Length"])
            self.give(rest.answer(self.path, self.rfile.read(length)))

        def do_GET(self):
            self.give(rest.describe(self.path))

        def give(self, answer):
            if answer is None:
                self.close_connection = True
                return
            status, text = answer
            data = text if isinstance(text, bytes) else text.encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def assert_same(outputs, expected, tolerance=0.0):
    """Equal names, dtypes, shapes and numbers."""
    assert set(outputs) == set(expected)
    for name, value in expected.items():
        assert outputs[name].dtype == value.dtype, name
        assert outputs[name].shape == value.shape, name
        np.testing.assert_allclose(
            outputs[name], value, rtol=tolerance, atol=tolerance
        )
