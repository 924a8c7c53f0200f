"""Inputs of a served model as arrays, and the sentence that refuses them.

No TensorFlow: a client over REST has none.
"""

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from kgpm.errors import UserError

DEFAULT_SIGNATURE = "serving_default"
# A memory's tensors by the names that the model gives them have this before.
MEMORY = "memory_"
MEMORY_ID = "memory_id"
STATISTICS = "statistics"

# Lines of TensorFlow's reports that say where, not what.
_WHERE = ("Graph execution error", "Detected at node", "<stack traces", "[[")


def as_array(name: str, value: Any) -> np.ndarray:
    """An array of what may be lists.

    Raises:
        UserError: lists of different lengths.
    """
    try:
        return np.asarray(value)
    except ValueError:
        raise UserError(
            f"Expected {name} to be an array, received lists of different "
            "lengths."
        ) from None


def request_inputs(**values: Any) -> dict[str, np.ndarray]:
    """Inputs that are no part of a memory, in the dtypes of the signatures.

    Raises:
        UserError: no numbers, or others than an input of this name takes.
    """
    return {
        name: _CONVERSIONS[name](name, value) for name, value in values.items()
    }


def reading_inputs(memory: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """What reading takes of a memory."""
    return {
        name: _numbers(name, value)
        for name, value in (memory or {}).items()
        if name.startswith(MEMORY)
    }


def changing_inputs(memory: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What changing takes of a memory.

    Raises:
        UserError: it keeps no statistics.
    """
    names = (MEMORY_ID, STATISTICS)
    if not set(names) <= set(memory):
        raise UserError(
            "Expected a memory with statistics, as prior and update return "
            f"it and write does not, received {', '.join(memory) or 'none'}."
        )
    return {name: _numbers(name, memory[name]) for name in names}


def sentence_of(message: str) -> str:
    """The sentence of a check in the graph, out of TensorFlow's report.

    Args:
        message: of a `tf.errors.OpError`, or what a server made of it.
    """
    _, found, rest = message.partition("assertion failed: ")
    lines = [line.strip() for line in (rest or message).splitlines()]
    if not found:
        said = [line for line in lines if line and not line.startswith(_WHERE)]
        return said[0] if said else "the model could not answer"
    # [first] [second]: the brackets are TensorFlow's, around each part. What
    # follows is where in the graph it stood.
    line = lines[0]
    parts = line[: line.rfind("]") + 1][1:-1].split("] [")
    return " ".join(parts).replace(" ,", ",")


def _numbers(name: str, value: Any) -> np.ndarray:
    array = as_array(name, value)
    if array.dtype.kind not in "fiub":
        raise UserError(f"Expected numbers in {name}, received {array.dtype}.")
    return array


def _pixels(name: str, value: Any) -> np.ndarray:
    # What is too large for float32 is for the server to refuse.
    with np.errstate(over="ignore"):
        return _numbers(name, value).astype(np.float32, copy=False)


def _int32(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(operator.index(value), np.int32)
    except (TypeError, OverflowError):
        raise UserError(
            f"Expected {name} to be an int32, received {value!r}."
        ) from None


def _seed(name: str, seed: Any) -> np.ndarray:
    """Two numbers; one alone as the models take it."""
    pair = [seed, 0] if np.ndim(seed) == 0 else list(seed)
    if len(pair) != 2:
        raise UserError(
            f"Expected {name} to be an integer or two, received {seed!r}."
        )
    return np.stack([_int32(name, number) for number in pair])


_CONVERSIONS = {
    "episode": _pixels,
    "query": _pixels,
    "seed": _seed,
    "steps": _int32,
    "num_samples": _int32,
    "batch_size": _int32,
}
