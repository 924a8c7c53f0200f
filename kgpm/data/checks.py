"""What the functions of this package ask of their numbers."""

import operator
from typing import Any

from kgpm.errors import UserError


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Returns an integer argument.

    Raises:
        UserError: it is no integer, or lower than `least`.
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise UserError(
            f"Expected {name} to be an integer, got {value!r}."
        ) from None
    if count < least:
        raise UserError(f"Expected {name} to be at least {least}, got {count}.")
    return count
