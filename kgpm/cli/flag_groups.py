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


def integers_definer(values: FlagValues, group: str) -> Callable[..., Any]:
    """Returns a DEFINE_* function for one positive integer or several."""

    def define(name: str, default: Any, text: str) -> None:
        absl_flags.DEFINE(
            _IntegersParser(),
            name,
            default,
            text,
            values,
            _IntegersSerializer(),
            module_name=group,
        )

    return define


class _IntegersParser(absl_flags.ArgumentParser):
    """Reads `16` as a number and `32,64` as a list of numbers."""

    syntactic_help = "a positive integer, or several with commas between"

    def parse(self, argument: str | int | list[int]) -> int | list[int]:
        if not isinstance(argument, str):
            return argument
        numbers = [int(part) for part in argument.split(",")]
        if min(numbers) < 1:
            raise ValueError(f"{argument} is not {self.syntactic_help}")
        return numbers if len(numbers) > 1 else numbers[0]

    def flag_type(self) -> str:
        return "integers"


class _IntegersSerializer(absl_flags.ArgumentSerializer):
    def serialize(self, value: int | list[int]) -> str:
        return ",".join(map(str, value if isinstance(value, list) else [value]))
