"""A message of inference protocol v2 over HTTP: JSON, and bytes of tensors.

The JSON describes each tensor by name, shape and datatype. Its numbers follow
there as `data`, or behind the JSON, little-endian and in the order of the
tensors (the protocol's binary tensor data extension); a header says where the
JSON ends. No TensorFlow and no KServe: a client has none.
"""

import itertools
import math
import re
from collections.abc import Container
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from kgpm.errors import UserError

LENGTH_HEADER = "Inference-Header-Content-Length"
# By this name a server says in its metadata that it takes bytes.
EXTENSION = "binary_tensor_data"

_DTYPES = {
    name: np.dtype(code)
    for name, code in {
        "BOOL": "?",
        **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
        **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
        **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    }.items()
}
_DATATYPES = {dtype: name for name, dtype in _DTYPES.items()}
# No signature has as many, and no array; more is not looked at.
MOST_TENSORS = 64
_MOST_AXES = 32


def write_message(
    content: Mapping[str, Any],
    key: str,
    tensors: Mapping[str, np.ndarray],
    binary: Container[str],
) -> tuple[bytes, int]:
    """The bytes of a message, and how many of them are JSON.

    Args:
        content: of the JSON, without the tensors.
        key: `inputs` or `outputs`.
        tensors: arrays by name.
        binary: names of those whose numbers stand behind the JSON.

    Raises:
        UserError: a dtype that the protocol does not have.
    """
    described: list[Any] = []
    behind: list[Any] = []
    for name, value in tensors.items():
        dtype = value.dtype.newbyteorder("<")
        if dtype not in _DATATYPES:
            raise UserError(
                f"Expected {name} of a dtype like float32 or int32, received "
                f"{value.dtype}."
            )
        tensor: dict[str, Any] = {"name": name, "shape": value.shape}
        tensor["datatype"] = _DATATYPES[dtype]
        if name in binary:
            behind.append(np.asarray(value, dtype, order="C"))
            tensor["parameters"] = {"binary_data_size": value.nbytes}
        else:
            tensor["data"] = value.ravel()
        described.append(tensor)
    head = orjson.dumps(
        {**content, key: described}, option=orjson.OPT_SERIALIZE_NUMPY
    )
    return b"".join([head, *behind]), len(head)


def read_message(
    body: bytes, json_length: str | None, key: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON of a message, and its arrays by name.

    Args:
        body: the bytes of the message.
        json_length: what `LENGTH_HEADER` says; all is JSON without it.
        key: `inputs` or `outputs`.

    Returns:
        The JSON. The arrays: views of the body, which cannot be written to,
        where the numbers were bytes; where they were JSON, of the dtype that
        NumPy gives them.

    Raises:
        UserError: it is no such message.
    """
    end = len(body) if json_length is None else _json_end(json_length, body)
    try:
        content = orjson.loads(memoryview(body)[:end])
    except orjson.JSONDecodeError as error:
        raise UserError(
            f"Expected a message of protocol v2 as JSON, or with binary tensors"
            f" and {LENGTH_HEADER}, received something else: {error}."
        ) from None
    described = content.get(key) if isinstance(content, dict) else None
    if not isinstance(described, list) or len(described) > MOST_TENSORS:
        raise UserError(
            f"Expected a message of protocol v2: a JSON object with {key}, a "
            f"list of at most {MOST_TENSORS}."
        )
    arrays: dict[str, np.ndarray] = {}
    for tensor in described:
        name, array, size = _tensor(tensor, body, end)
        if name in arrays:
            raise UserError(f"Expected {name} once, received it twice.")
        arrays[name] = array
        end += size
    if end != len(body):
        raise UserError(
            f"Expected a message of {end} bytes, as its JSON says, received "
            f"{len(body)}."
        )
    return content, arrays


def _json_end(json_length: str, body: bytes) -> int:
    # `int` would take signs, underscores and any number of digits.
    if re.fullmatch("[0-9]{1,15}", json_length):
        end = int(json_length)
        if end <= len(body):
            return end
    raise UserError(
        f"Expected {LENGTH_HEADER} of at most {len(body)} bytes, which is the "
        f"message, received {json_length!r}."
    )


def _tensor(
    tensor: Any, body: bytes, start: int
) -> tuple[str, np.ndarray, int]:
    """Name and array of a tensor, and how many bytes behind the JSON it has."""
    name, dtype, shape = _description(tensor)
    data = tensor.get("data")
    parameters = tensor.get("parameters")
    size = None
    if isinstance(parameters, dict):
        size = parameters.get("binary_data_size")
    listed = isinstance(data, list) and size is None
    if not listed and not (data is None and type(size) is int):
        raise UserError(
            f"Expected {name} with either data, a list, or binary_data_size, a "
            "number of bytes, received neither or both."
        )
    try:
        if listed:
            return name, _listed_numbers(data).reshape(shape), 0
        if size == math.prod(shape) * dtype.itemsize <= len(body) - start:
            return name, np.ndarray(shape, dtype, body, start), size
    except (TypeError, ValueError, OverflowError):
        # Numbers beside lists, or another number of them than an array has.
        pass
    raise UserError(
        f"Expected {name} to hold as many numbers as its shape {shape} says, "
        "received others."
    )


def _listed_numbers(data: list) -> np.ndarray:
    """The numbers of a list, or of lists of them, in one axis."""
    while data and isinstance(data[0], list):
        data = list(itertools.chain.from_iterable(data))
    # NumPy would take null and strings for numbers, or make all elements as
    # long as the longest string.
    if not set(map(type, data)) <= {int, float, bool}:
        raise TypeError
    return np.asarray(data)


def _description(tensor: Any) -> tuple[str, np.dtype, list[int]]:
    """Name, dtype and shape of a tensor."""
    name = tensor.get("name") if isinstance(tensor, dict) else None
    if not isinstance(name, str):
        raise UserError(
            "Expected each tensor of a message of protocol v2 with a name, "
            "received one without."
        )
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    dtype = _DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        raise UserError(
            f"Expected {name} of a datatype like FP32 or INT32, received "
            f"{datatype!r}."
        )
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_AXES
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        raise UserError(
            f"Expected the shape of {name} as a list of at most {_MOST_AXES} "
            "integers of 0 or more, received something else."
        )
    return name, dtype, shape
