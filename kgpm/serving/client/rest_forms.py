"""Forms of requests and answers over REST: a path, bytes out and bytes in."""

import abc
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import urllib3

from kgpm.errors import UserError
from kgpm.serving.inputs import MEMORY_ID
from kgpm.serving.inputs import STATISTICS
from kgpm.serving.served_model import ONLY_OUTPUT
from kgpm.serving.v2_message import LENGTH_HEADER
from kgpm.serving.v2_message import read_message
from kgpm.serving.v2_message import write_message

# JSON has no dtypes.
_DTYPES = {MEMORY_ID: np.int32, STATISTICS: np.float64}


class RestForm(abc.ABC):
    """What a server takes and gives.

    Args:
        model: name of the served model.
        version: of the model; the server's choice if `None`.

    Attributes:
        name: of the form.
        path: that requests are posted to.
    """

    name: str
    _path: str

    def __init__(self, model: str, version: int | None) -> None:
        place = "" if version is None else f"/versions/{version}"
        self.path = self._path.format(quote(model, safe="") + place)

    @abc.abstractmethod
    def request(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> tuple[bytes, dict[str, str]]:
        """The body of a request and its headers.

        Raises:
            UserError: an input that the form cannot carry.
        """

    @abc.abstractmethod
    def outputs(
        self, answer: urllib3.BaseHTTPResponse, signature: str
    ) -> dict[str, np.ndarray]:
        """The outputs in an answer, by name.

        Raises:
            ValueError, KeyError, TypeError: it is no such answer.
        """


class JsonForm(RestForm):
    """TensorFlow Serving's own: JSON alone."""

    name = "TensorFlow Serving's JSON"
    _path = "/v1/models/{}:predict"

    def request(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> tuple[bytes, dict[str, str]]:
        body = {
            "signature_name": signature,
            "inputs": {k: _for_json(k, v) for k, v in inputs.items()},
        }
        data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return data, {"Content-Type": "application/json"}

    def outputs(
        self, answer: urllib3.BaseHTTPResponse, signature: str
    ) -> dict[str, np.ndarray]:
        outputs = orjson.loads(answer.data)["outputs"]
        if not isinstance(outputs, dict):
            outputs = {ONLY_OUTPUT[signature]: outputs}
        return {
            name: np.asarray(value, _DTYPES.get(name, np.float32))
            for name, value in outputs.items()
        }


class BinaryForm(RestForm):
    """Protocol v2, every array as bytes."""

    name = "protocol v2 with binary tensors"
    _path = "/v2/models/{}/infer"

    def request(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> tuple[bytes, dict[str, str]]:
        parameters: dict[str, Any] = {"signature_name": signature}
        parameters["binary_data_output"] = True
        data, json_length = write_message(
            {"parameters": parameters}, "inputs", inputs, binary=inputs
        )
        return data, {
            "Content-Type": "application/octet-stream",
            LENGTH_HEADER: str(json_length),
        }

    def outputs(
        self, answer: urllib3.BaseHTTPResponse, signature: str
    ) -> dict[str, np.ndarray]:
        json_length = answer.headers.get(LENGTH_HEADER)
        _, outputs = read_message(answer.data, json_length, "outputs")
        # Arrays that can be written to, as over every other transport.
        return {name: value.copy() for name, value in outputs.items()}


def _for_json(name: str, value: np.ndarray) -> Any:
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise UserError(
            f"Expected numbers in {name}, received NaN or an infinity."
        )
    # orjson writes arrays alone, and those without gaps.
    return np.ascontiguousarray(value) if value.ndim else value.item()
