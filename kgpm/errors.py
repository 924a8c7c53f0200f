"""Mistakes of a user: one exception, and the checks of arguments that raise it.

Each message is one sentence: what was expected, what was received, what to do.
A server that does not answer is nobody's mistake: an exception of its own.
"""

import difflib
import numbers
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any


class UserError(ValueError):
    """A wrong argument, shape, file, flag or data set.

    The message is one sentence that says what was expected, what was received
    and what to do. The programs print that sentence and end with exit code 2.
    """


class ServingError(ConnectionError):
    """No answer of a server: unreachable, too slow, overloaded or broken.

    The same request may be answered later; what would be refused again is a
    `UserError`. The message is one sentence.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'gpm'?"`, or nothing where no known name is near."""
    near = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raises a `UserError` unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(
            f"Expected {name} to be one of {', '.join(choices)}, "
            f"received {value!r}.{did_you_mean(value, choices)}"
        )


def check_sizes(**sizes: int) -> None:
    """Raises a `UserError` unless all sizes are integers of at least 1."""
    if not all(isinstance(s, int) and s >= 1 for s in sizes.values()):
        *first, last = sizes
        names = f"{', '.join(first)} and {last}" if first else last
        raise UserError(
            f"Expected {names} of at least 1, received "
            f"{', '.join(map(str, sizes.values()))}."
        )


def check_count(name: str, value: Any, least: int = 1) -> Any:
    """Returns a number of things, or a tensor of one as it is.

    Raises:
        UserError: it is no integer, or lower than `least`.
    """
    if hasattr(value, "dtype") and not isinstance(value, numbers.Integral):
        return value
    if not isinstance(value, numbers.Integral):
        raise UserError(
            f"Expected {name} to be an integer, received {value!r}."
        )
    if value < least:
        raise UserError(
            f"Expected {name} of at least {least}, received {value}."
        )
    return int(value)


def check_positive(**values: float) -> None:
    """Raises a `UserError` unless all values, by their names, are above 0."""
    for name, value in values.items():
        if not value > 0.0:
            raise UserError(f"Expected {name} > 0, received {value}.")


def check_not_negative(**values: float) -> None:
    """Raises a `UserError` unless all values, by their names, are 0 or more."""
    for name, value in values.items():
        if not value >= 0.0:
            raise UserError(f"Expected {name} of at least 0, received {value}.")


def check_last_axis(shape: Sequence | None, size: int) -> None:
    """Raises a `UserError` unless a shape, if known, ends with `size`."""
    if shape is not None and shape[-1] != size:
        raise UserError(
            f"Expected vectors of length {size} on the last axis, received "
            f"shape {tuple(shape)}."
        )


def check_goes_with(condition: str, holds: bool, **options: Any) -> None:
    """Raises a `UserError` for an option that is given without effect.

    Args:
        condition: what the options go with, such as `"read='softmax'"`.
        holds: whether that is so.
        **options: their values, `None` for one that is not given.
    """
    for name, value in options.items():
        if value is not None and not holds:
            raise UserError(
                f"Expected {name} with {condition} only, where it has an "
                f"effect, received {name}={value!r}: leave {name} out."
            )
