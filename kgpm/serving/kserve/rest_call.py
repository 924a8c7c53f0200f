"""A call of protocol v2 over REST: bytes in, bytes out."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np

from kgpm.errors import UserError
from kgpm.serving.inputs import DEFAULT_SIGNATURE
from kgpm.serving.v2_message import MOST_TENSORS
from kgpm.serving.v2_message import read_message
from kgpm.serving.v2_message import write_message

# Of a signature, its inputs, and the names of outputs, all if there are none.
Infer = Callable[
    [Any, Mapping[str, np.ndarray], Collection[str]], dict[str, np.ndarray]
]


class RestAnswer(NamedTuple):
    """An answer of protocol v2.

    Attributes:
        body: JSON, and behind it the outputs that were asked for as bytes.
        json_length: how many bytes of it are JSON.
    """

    body: bytes
    json_length: int


class RestCall(NamedTuple):
    """A request of protocol v2 that nobody has read yet.

    Attributes:
        body: JSON, and binary tensors behind it.
        json_length: what the header says of where the JSON ends.
    """

    body: bytes
    json_length: str | None

    def answer(self, model: str, version: str, infer: Infer) -> RestAnswer:
        """Reads the request and answers it.

        Args:
            model: name of the model.
            version: of the model.
            infer: the model.

        Raises:
            UserError: it is no such request, or `infer` refuses it.
        """
        content, inputs = read_message(self.body, self.json_length, "inputs")
        parameters = _parameters(content)
        binary = _flag(parameters, "binary_data_output", False)
        asked = _asked(content, binary)
        head = {"model_name": model, "model_version": version}
        if "id" in content:
            if not isinstance(content["id"], str):
                raise UserError("Expected the id of a request to be a text.")
            head["id"] = content["id"]
        signature = parameters.get("signature_name", DEFAULT_SIGNATURE)
        outputs = infer(signature, inputs, asked)
        as_bytes = {name for name in outputs if asked.get(name, binary)}
        return RestAnswer(*write_message(head, "outputs", outputs, as_bytes))


def _asked(content: Mapping[str, Any], binary: bool) -> dict[str, bool]:
    """Names of the outputs that are asked for, and whether as bytes."""
    outputs = content.get("outputs", [])
    if (
        not isinstance(outputs, list)
        or len(outputs) > MOST_TENSORS
        or not all(
            isinstance(output, dict) and isinstance(output.get("name"), str)
            for output in outputs
        )
    ):
        raise UserError(
            f"Expected outputs as a list of at most {MOST_TENSORS} objects "
            "with a name, received something else."
        )
    return {
        output["name"]: _flag(_parameters(output), "binary_data", binary)
        for output in outputs
    }


def _parameters(content: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        raise UserError(
            "Expected parameters as a JSON object, received something else."
        )
    return parameters


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise UserError(f"Expected {name} to be true or false.")
    return value
