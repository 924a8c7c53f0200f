"""A client of a served model, in NumPy."""

import importlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from kgpm.errors import UserError
from kgpm.errors import check_positive
from kgpm.serving.inputs import as_array
from kgpm.serving.served_model import ServedModel

# Loaded on first use: REST needs no TensorFlow, which takes seconds.
_TRANSPORTS = {
    "grpc": ("kgpm.serving.client.grpc_transport", "GrpcTransport"),
    "http": ("kgpm.serving.client.rest_transport", "RestTransport"),
    "https": ("kgpm.serving.client.rest_transport", "RestTransport"),
}
# gRPC makes five attempts at most, whatever it is asked for.
_MOST_RETRIES = 4


class Client(ServedModel):
    """The signatures of a model behind TensorFlow Serving or `kgpm.serve`.

    The server keeps no memory. Calls may come from several threads. A request
    that meets an unreachable or busy server is sent again, after a growing
    pause: no call changes anything there.

    Args:
        address: `grpc://HOST:PORT` (TensorFlow Serving's gRPC) or
            `http://HOST:PORT` (REST, needs no TensorFlow): binary tensors
            where the server says at `/v2` that it takes them, else TensorFlow
            Serving's JSON.
        model: name of the served model.
        version: of the model; the server's choice if `None`.
        timeout: seconds until an answer must be there; over REST those of
            each attempt.
        retries: attempts after the first one, 0 to 4.
        max_message_mb: largest message over gRPC either way, in MiB.

    Raises:
        UserError: an argument that is none of these, or packages that are not
            installed. Every method raises it for a request that the server
            refuses, with the server's sentence, and `ServingError` where
            there is no answer.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        max_message_mb: int = 64,
    ) -> None:
        if not model or not isinstance(model, str):
            raise UserError(
                f"Expected the name of a served model, received {model!r}: it "
                "is the name of the export's directory."
            )
        check_positive(timeout=timeout, max_message_mb=max_message_mb)
        if retries not in range(_MOST_RETRIES + 1):
            raise UserError(
                f"Expected 0 to {_MOST_RETRIES} retries, received {retries}."
            )
        self._closed = False
        self._transport = _transport_class(address)(
            address.rstrip("/"),
            model,
            version=version,
            timeout=timeout,
            retries=retries,
            max_bytes=int(max_message_mb * 2**20),
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections; the client answers no more."""
        self._closed = True
        self._transport.close()

    def call(
        self, signature: str, inputs: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        if self._closed:
            raise UserError("This client is closed: make another one.")
        arrays = {k: as_array(k, value) for k, value in inputs.items()}
        return self._transport.predict(signature, arrays)


def _transport_class(address: str) -> Any:
    try:
        parts = urlsplit(address)
        known = parts.scheme in _TRANSPORTS and parts.hostname
        complete = parts.port or parts.scheme != "grpc"
    except ValueError:
        known = complete = False
    if not known or not complete:
        raise UserError(
            "Expected an address like grpc://127.0.0.1:8500 or "
            f"http://127.0.0.1:8501, received {address!r}."
        )
    module, name = _TRANSPORTS[parts.scheme]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{parts.scheme}:// needs {error.name}: pip install 'kgpm[serving]'"
        ) from None
