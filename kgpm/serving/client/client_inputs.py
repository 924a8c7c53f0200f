"""What a client sends, as arrays of the dtypes that a server expects."""

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from kgpm.errors import UserError
from kgpm.serving.arrays import as_array

_MEMORY = "memory_"
_STREAM = ("memory_id", "statistics")


def reading_inputs(memory: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """What reading takes of a memory."""
    return {
        name: _array(name, value)
        for name, value in (memory or {}).items()
        if name.startswith(_MEMORY)
    }


def changing_inputs(memory: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What changing takes of a memory.

    Raises:
        UserError: it keeps no statistics.
    """
    if not set(_STREAM) <= set(memory):
        raise UserError(
            "Expected a memory with statistics, as prior and update return "
            f"it and write does not, received {', '.join(memory) or 'none'}."
        )
    return {name: _array(name, memory[name]) for name in _STREAM}


def floats(name: str, value: Any) -> np.ndarray:
    """Pixels; what is too large for float32 is for the server to refuse.

    Raises:
        UserError: no numbers.
    """
    with np.errstate(over="ignore"):
        return _array(name, value).astype(np.float32, copy=False)


def int32(name: str, value: Any) -> np.ndarray:
    """A whole number.

    Raises:
        UserError: it is none, or none of 32 bits.
    """
    try:
        number = operator.index(value)
        return np.asarray(number, np.int32)
    except (TypeError, OverflowError):
        raise UserError(
            f"Expected {name} to be an int32, received {value!r}."
        ) from None


def seed_pair(seed: Any) -> np.ndarray:
    """Two numbers; one alone as the models take it.

    Raises:
        UserError: neither.
    """
    pair = [seed, 0] if np.ndim(seed) == 0 else list(seed)
    if len(pair) != 2:
        raise UserError(
            f"Expected seed to be an integer or two, received {seed!r}."
        )
    return np.stack([int32("seed", number) for number in pair])


def _array(name: str, value: Any) -> np.ndarray:
    array = as_array(name, value)
    if array.dtype.kind not in "fiub":
        raise UserError(f"Expected numbers in {name}, received {array.dtype}.")
    return array
