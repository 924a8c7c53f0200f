"""Flags in groups, which is how `--help` and `flags.cfg` show them."""

from collections.abc import Callable
from typing import Any

from absl import flags as absl_flags

FlagValues = absl_flags.FlagValues

# In the order in which they are shown.
GROUPS = ("run", "data", "model", "optimisation", "training", "program")


def flags_in_group(values: FlagValues, group: str) -> list[absl_flags.Flag]:
    """Returns the flags of one of `GROUPS`, in the order of definition."""
    return values.flags_by_module_dict().get(group, [])


def definers(values: FlagValues, group: str) -> tuple[Callable[..., Any], ...]:
    """Returns DEFINE_* functions for string, integer, boolean, float, enum."""

    def bind(define: Callable[..., Any]) -> Callable[..., Any]:
        def bound(*args: Any, **kwargs: Any) -> None:
            define(*args, flag_values=values, module_name=group, **kwargs)

        return bound

    return (
        bind(absl_flags.DEFINE_string),
        bind(absl_flags.DEFINE_integer),
        bind(absl_flags.DEFINE_boolean),
        bind(absl_flags.DEFINE_float),
        bind(absl_flags.DEFINE_enum),
    )


def list_definer(values: FlagValues, group: str) -> Callable[..., Any]:
    """Returns a DEFINE_* function for lists of strings."""

    def define(name: str, default: Any, text: str) -> None:
        absl_flags.DEFINE_list(
            name, default, text, flag_values=values, module_name=group
        )

    return define
