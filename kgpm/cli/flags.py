"""The flags of a program: defined by groups, asked for values, checked.

Each program defines the groups that it needs on a `FlagValues` of its own, so
that several programs live in one process and no other library's flags appear
in a run's `flags.cfg`. Nothing here imports TensorFlow or NumPy: `--help`
answers at once.
"""

import itertools
from collections.abc import Sequence
from typing import Any
from typing import cast

from absl import flags as absl_flags

from kgpm.cli.flag import Condition
from kgpm.cli.flag import DefinedFlag
from kgpm.cli.flag import Flag
from kgpm.cli.flag_table import TABLE
from kgpm.errors import UserError

FlagValues = absl_flags.FlagValues

# In the order in which they are shown; the last has a program's own.
GROUPS = (*TABLE, "program")
# Of a training, and of a program that reads images of a finished run.
TRAINING = ("run", "data", "model", "optimisation", "training", "evaluation")
READING = ("run", "data", "stored", "reading")


def define(
    values: FlagValues, *groups: str, own: Sequence[Flag] = ()
) -> FlagValues:
    """Defines the flags of groups of the table, and a program's own.

    Args:
        values: the program's `FlagValues`.
        *groups: names in the table.
        own: rows of the group `program`.

    Returns:
        `values`.
    """
    for group in (*groups, "program"):
        for row in own if group == "program" else TABLE[group]:
            absl_flags.DEFINE_flag(DefinedFlag(row), values, group)
    return values


def row(name: str) -> Flag:
    """The row of a flag, for a program that needs no more of its group."""
    rows = itertools.chain(*TABLE.values())
    return next(row for row in rows if row.name == name)


def flags_in_group(values: FlagValues, group: str) -> list[DefinedFlag]:
    """Returns the flags of one of `GROUPS`, in the order of definition."""
    return cast(list[DefinedFlag], values.flags_by_module_dict().get(group, []))


def value_of(values: FlagValues, name: str) -> Any:
    """A flag's value, or else its default, that of the chosen model."""
    flag = cast(DefinedFlag, values[name])
    if flag.value is None and flag.row.defaults:
        return flag.row.defaults.get(values.model)
    return flag.value


def effective_values(values: FlagValues, group: str) -> dict[str, Any]:
    """Values, by name, of the flags of a group that have an effect."""
    return {
        flag.name: value_of(values, flag.name)
        for flag in flags_in_group(values, group)
        if has_effect(values, flag)
    }


def has_effect(values: FlagValues, flag: DefinedFlag) -> bool:
    """Whether a flag goes with the others."""
    return _unmet(values, flag) is None


def check_effects(values: FlagValues) -> None:
    """Checks that every flag that is given has an effect.

    Raises:
        UserError: one has none; the message says what it goes with.
    """
    for group in GROUPS:
        for flag in flags_in_group(values, group):
            unmet = _unmet(values, flag) if flag.present else None
            if unmet is None:
                continue
            received = ", ".join(
                _typed(name, value_of(values, name)) for name in unmet
            )
            raise UserError(
                f"Expected --{flag.name} with {as_text(unmet)} only, where it "
                f"has an effect, received {received}: leave --{flag.name} out."
            )


def as_text(condition: Condition) -> str:
    """What a flag goes with, as it is typed."""
    return " or ".join(
        _typed(name, " or ".join(filter(None, wanted)) or None)
        if wanted
        else f"--{name}"
        for name, wanted in condition.items()
    )


def _typed(name: str, value: Any) -> str:
    return f"no --{name}" if value is None else f"--{name}={value}"


def _unmet(values: FlagValues, flag: DefinedFlag) -> Condition | None:
    for condition in flag.row.conditions:
        if not any(
            value_of(values, name) in wanted
            if wanted
            else value_of(values, name)
            for name, wanted in condition.items()
        ):
            return {
                name: wanted
                for name, wanted in condition.items()
                # Which other models take it in any case.
                if name != "model" or len(condition) == 1
            }
    return None
