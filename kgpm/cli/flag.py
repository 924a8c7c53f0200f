"""A flag of the command line, as a row of a table. No TensorFlow, no NumPy."""

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from absl import flags as absl_flags

from kgpm.errors import did_you_mean

# Each flag by the values of it with which something has an effect; without
# values any but 0 and none.
Condition = Mapping[str, tuple[str | None, ...]]


@dataclasses.dataclass(frozen=True)
class Flag:
    """A row.

    Attributes:
        name: of the flag, which is that of the argument it becomes.
        kind: `"string"`, `"integer"`, `"boolean"`, `"float"`, `"integers"`
            (one or several), `"strings"` (with commas between), or a tuple:
            the choices.
        default: the value that holds where none is given; where models differ
            `{models: value}`, and other models do not take the flag.
        meaning: a short sentence or two.
        unit: of a number.
        unset: what holds without a value, where `default` says nothing.
        required: what to name, where no program can do without the flag.
        goes_with: the flag has an effect where one of these holds.
        least: lowest number.
        most: highest number.
    """

    name: str
    kind: str | tuple[str, ...]
    default: Any
    meaning: str
    unit: str = ""
    unset: str = ""
    required: str = ""
    goes_with: Condition = dataclasses.field(default_factory=dict)
    least: float | None = None
    most: float | None = None

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each model that takes the flag."""
        if not isinstance(self.default, dict):
            return {}
        return {
            model: value
            for models, value in self.default.items()
            for model in models
        }

    def is_of(self, model: str | None) -> bool:
        """Whether a model takes the flag; `None` takes those of no model."""
        return not self.defaults or model in self.defaults

    @property
    def conditions(self) -> list[Condition]:
        """All of what must hold for the flag to have an effect."""
        models = {"model": tuple(self.defaults)} if self.defaults else {}
        return [each for each in (models, self.goes_with) if each]


class DefinedFlag(absl_flags.Flag):
    """A flag of `absl` that knows its row.

    Args:
        row: what it is. Where models differ in the default, it has none.
    """

    def __init__(self, row: Flag) -> None:
        self.row = row
        parser, serializer = _parser(row)
        default = None if row.defaults else row.default
        boolean = row.kind == "boolean"
        super().__init__(
            parser, serializer, row.name, default, row.meaning, boolean=boolean
        )


def _parser(row: Flag) -> tuple[Any, Any]:
    as_text: Any = absl_flags.ArgumentSerializer()
    if isinstance(row.kind, tuple):
        return _ChoiceParser(row.kind), as_text
    if row.kind == "strings":
        return absl_flags.ListParser(), absl_flags.ListSerializer(",")
    if row.kind == "integers":
        return _IntegersParser(), _IntegersSerializer()
    kind = {
        "string": absl_flags.ArgumentParser,
        "integer": absl_flags.IntegerParser,
        "boolean": absl_flags.BooleanParser,
        "float": _FiniteParser,
    }[row.kind]
    bounds = {"lower_bound": row.least, "upper_bound": row.most}
    return kind(**bounds if row.kind in ("integer", "float") else {}), as_text


class _ChoiceParser(absl_flags.EnumParser):
    def parse(self, argument: str) -> str:
        if argument not in self.enum_values:
            raise ValueError(
                f"expected one of {', '.join(self.enum_values)}."
                f"{did_you_mean(argument, self.enum_values)}"
            )
        return argument


class _FiniteParser(absl_flags.FloatParser):
    def parse(self, argument: Any) -> float:
        value = super().parse(argument)
        if not math.isfinite(value):
            raise ValueError("expected a finite number")
        return value


class _IntegersParser(absl_flags.ArgumentParser):
    """Reads `16` as a number and `32,64` as a list of numbers."""

    syntactic_help = "a positive integer, or several with commas between"

    def parse(self, argument: str | int | list[int]) -> int | list[int]:
        if not isinstance(argument, str):
            return argument
        numbers = [int(part) for part in argument.split(",")]
        if min(numbers) < 1:
            raise ValueError(f"expected {self.syntactic_help}")
        return numbers if len(numbers) > 1 else numbers[0]

    def flag_type(self) -> str:
        return "integers"


class _IntegersSerializer(absl_flags.ArgumentSerializer):
    def serialize(self, value: int | Sequence[int]) -> str:
        return ",".join(map(str, [value] if isinstance(value, int) else value))
