"""Checks of a constructor's arguments."""

from collections.abc import Sequence

from kgpm.errors import UserError


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises a `UserError` unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(
            f"Expected {name} to be one of {', '.join(choices)}, "
            f"received {value!r}."
        )
