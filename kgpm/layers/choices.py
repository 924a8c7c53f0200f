"""Checks of a constructor's arguments."""

from collections.abc import Sequence
from typing import Any

from kgpm.errors import UserError


def check_sizes(**sizes: int) -> None:
    """Raises a `UserError` unless all sizes are integers of at least 1."""
    if not all(isinstance(s, int) and s >= 1 for s in sizes.values()):
        *first, last = sizes
        names = f"{', '.join(first)} and {last}" if first else last
        raise UserError(
            f"Expected {names} of at least 1, received "
            f"{', '.join(map(str, sizes.values()))}."
        )


def check_count(name: str, value: Any) -> None:
    """Raises a `UserError` for an integer below 1; a tensor passes."""
    if isinstance(value, int) and value < 1:
        raise UserError(f"Expected {name} of at least 1, received {value}.")


def check_last_axis(shape: Sequence | None, size: int) -> None:
    """Raises a `UserError` unless a shape, if known, ends with `size`."""
    if shape is not None and shape[-1] != size:
        raise UserError(
            f"Expected vectors of length {size} on the last axis, received "
            f"shape {tuple(shape)}."
        )


def check_positive(**values: float) -> None:
    """Raises a `UserError` unless all values, by their names, are above 0."""
    for name, value in values.items():
        if not value > 0.0:
            raise UserError(f"Expected {name} > 0, received {value}.")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises a `UserError` unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(
            f"Expected {name} to be one of {', '.join(choices)}, "
            f"received {value!r}."
        )
