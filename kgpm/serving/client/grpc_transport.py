"""TensorFlow Serving's gRPC."""

import json
from collections.abc import Mapping

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from kgpm.errors import ServingError
from kgpm.errors import UserError
from kgpm.serving.client.transport import Transport
from kgpm.serving.inputs import sentence_of

# What would be answered alike again.
_REFUSED = frozenset(
    [
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
        # A message too large for one side.
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ]
)


class GrpcTransport(Transport):
    """Calls of `PredictionService.Predict` over one channel."""

    def connect(self, retries: int, max_bytes: int) -> None:
        self._channel = grpc.insecure_channel(
            self.address.removeprefix("grpc://"),
            options=_options(retries, max_bytes),
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        if self.version is not None:
            request.model_spec.version.value = self.version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise self._translated(error) from error
        return {
            name: tf.make_ndarray(value)
            for name, value in response.outputs.items()
        }

    def close(self) -> None:
        self._channel.close()

    def _translated(self, error: grpc.RpcError) -> Exception:
        code = error.code()
        said = sentence_of(error.details() or code.name)
        if code in _REFUSED:
            return UserError(said)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return ServingError(
                f"{self.address} does not speak TensorFlow Serving's gRPC: "
                "python -m kgpm.serve is asked at its http:// address"
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return self.too_late()
        return self.no_answer(said)


def _options(retries: int, max_bytes: int) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_send_message_length", max_bytes),
        ("grpc.max_receive_message_length", max_bytes),
        # What does not fit in here is sent once only; the default is 256 KiB,
        # an episode of 80 images.
        ("grpc.per_rpc_retry_buffer_size", max_bytes),
        # A server that restarts is back within seconds.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if retries:
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.1s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        service = {"service": "tensorflow.serving.PredictionService"}
        config = {"methodConfig": [{"name": [service], "retryPolicy": policy}]}
        options.append(("grpc.service_config", json.dumps(config)))
    return options
