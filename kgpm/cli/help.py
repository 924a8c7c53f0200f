"""What `--help` prints: flags in groups, each with its default and bounds."""

import textwrap
from typing import Any

from kgpm.cli import flags
from kgpm.cli.flag import Flag
from kgpm.cli.model_flags import MODELS

_INDENT = 25


def help_text(program: str, values: flags.FlagValues, description: str) -> str:
    """What a program does and its flags.

    Of the flags of models it shows `--model` alone, or, where that is given,
    those of this model and no others.

    Args:
        program: name of the module, such as `"kgpm.train"`.
        values: the program's flags, parsed.
        description: of the program.
    """
    command = f"python -m {program}"
    if "model" in values and values["model"].present:
        heading = f"--model={values.model}: {MODELS[values.model]}. Its flags:"
        lines = _entries(values, "model", values.model)
        rest = f"{command} --help shows all others."
        return "\n".join([heading, "", *lines, "", rest])
    parts = [description.strip(), f"Usage: {command} --flag=value"]
    for group in flags.GROUPS:
        if lines := _entries(values, group):
            parts.append("\n".join([f"{group}:", *lines]))
    if "model" in values:
        parts.append(
            f"{command} --help --model=vma shows the flags of that model."
        )
    parts.append(
        "Any flag can also stand in a file, one a line: --flagfile=FILE."
    )
    return "\n\n".join(parts)


def _entries(
    values: flags.FlagValues, group: str, model: str | None = None
) -> list[str]:
    """The lines of a group, of models only the flags that `model` takes."""
    lines = []
    for flag in flags.flags_in_group(values, group):
        row = flag.row
        if row.name == "model" and model is None:
            lines += _entry("--model", f"{row.meaning} (default {row.default})")
            for name, title in MODELS.items():
                lines += _entry(f"    {name}", title)
        elif row.name != "model" and row.is_of(model):
            lines += _entry(_name(row), _text(row, model))
    return lines


def _name(row: Flag) -> str:
    return f"--[no]{row.name}" if row.kind == "boolean" else f"--{row.name}"


def _text(row: Flag, model: str | None) -> str:
    notes = [row.unit] if row.unit else []
    if isinstance(row.kind, tuple):
        notes.append(f"one of {', '.join(row.kind)}")
    if row.required:
        notes.append("required")
    if row.goes_with and model not in row.goes_with.get("model", ()):
        others = {k: v for k, v in row.goes_with.items() if k != "model"}
        notes.append(f"with {flags.as_text(others)}")
    default = row.defaults[model] if model in row.defaults else row.default
    if default is not None:
        notes.append(f"default {_shown(default)}")
    elif row.unset:
        notes.append(f"default: {row.unset}")
    return f"{row.meaning} ({'; '.join(notes)})"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _entry(name: str, text: str) -> list[str]:
    """A name, and beside it its text, which goes on below itself."""
    name = f"  {name}"
    lines = textwrap.wrap(
        text,
        79,
        initial_indent=" " * _INDENT,
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )
    if len(name) < _INDENT - 1:
        return [name.ljust(_INDENT) + lines[0].lstrip(), *lines[1:]]
    return [name, *lines]
