"""The flags of a run, kept in its directory and read again by every program."""

from kgpm.cli import flags
from kgpm.errors import UserError
from kgpm.files import write_text
from kgpm.training.run_directory import RunDirectory

# What belongs to one start of a program and not to the run.
_NOT_OF_THE_RUN = frozenset(
    ["model_dir", "resume", "verbose", "distribute", "worker_timeout"]
)
# What may change while the result stays the same.
_NOT_OF_THE_RESULT = _NOT_OF_THE_RUN | {
    "data_dir",
    "download",
    "log_images_every",
}


def save_run_flags(values: flags.FlagValues) -> None:
    """Writes `flags.cfg`: every flag of this package, by group.

    Args:
        values: parsed flags with `--model_dir`.

    Raises:
        OSError: if the file cannot be written.
    """
    lines = ["# Written by the program; read it with --flagfile."]
    for group in flags.GROUPS:
        members = _lines(values, group)
        if members:
            lines += ["", f"# {group}", *members.values()]
    path = RunDirectory(values.model_dir).flags
    write_text(path, "\n".join(lines) + "\n")


def facts_of_the_run(values: flags.FlagValues) -> dict[str, str]:
    """What all workers of a run must have the same: each flag of its result.

    And whether it is resumed. The names are those of the flags.
    """
    facts = {
        f"--{name}": line
        for group in flags.GROUPS
        for name, line in _lines(values, group).items()
        if name not in _NOT_OF_THE_RESULT
    }
    return {**facts, "--resume": str(values.resume)}


def differing_flags(values: flags.FlagValues) -> list[str]:
    """Names of the flags that a stored run had other values of.

    Where the data lay, and what was shown on the way, does not count. A run
    from before there was a flag had its default.

    Args:
        values: parsed flags with `--model_dir`.

    Raises:
        OSError: if there is no run.
    """
    stored = RunDirectory(values.model_dir).flags.read_text(encoding="utf-8")
    lines = frozenset(stored.splitlines())
    known = {line.removeprefix("# ").partition("=")[0] for line in lines}
    known = {text.split()[0] for text in known if text.startswith("--")}
    return [
        name
        for group in flags.GROUPS
        for name, line in _lines(values, group).items()
        if name not in _NOT_OF_THE_RESULT
        and line not in lines
        and (
            not known.isdisjoint((f"--{name}", f"--no{name}"))
            or values[name].value != values[name].default
        )
    ]


def _lines(values: flags.FlagValues, group: str) -> dict[str, str]:
    """A line for each flag; one without a value or effect is not set.

    Flags that the model does not take have none.
    """
    model = getattr(values, "model", None)
    return {
        flag.name: (flags.has_effect(values, flag) and flag.serialize())
        or f"# --{flag.name} is not set"
        for flag in flags.flags_in_group(values, group)
        if flag.name != "resume" and flag.row.is_of(model)
    }


def stored_flags(model_dir: str) -> flags.FlagValues:
    """The run's own values of the flags of runs and of data.

    Raises:
        UserError: see `apply_run_flags`.
    """
    values = flags.define(flags.FlagValues(), "run", "data")
    values(["", f"--model_dir={model_dir}"])
    apply_run_flags(values)
    return values


def apply_run_flags(values: flags.FlagValues) -> None:
    """Gives every flag that was not on the command line the run's value.

    Flags of the run that this program does not have, or has as its own, are
    skipped.

    Args:
        values: parsed flags with `--model_dir`; changed in place.

    Raises:
        UserError: if there is no run, or its `flags.cfg` cannot be understood.
    """
    run = RunDirectory(values.model_dir)
    run.require()
    own = {flag.name for flag in flags.flags_in_group(values, "program")}
    try:
        lines = run.flags.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{run.flags} is damaged: it is not text") from None
    for line in lines:
        if not line.startswith("--"):
            continue
        name, _, text = line[2:].partition("=")
        if "=" not in line:
            # A boolean is written as --name or --noname.
            text = "true"
            if name not in values and name.startswith("no"):
                name, text = name[2:], "false"
        if name not in values or name in _NOT_OF_THE_RUN:
            continue
        # A program's own flag of the same name means something else.
        if values[name].present or name in own:
            continue
        try:
            values[name].parse(text)
        except Exception as error:
            raise UserError(
                f"{run.flags} holds a value that this program does not take: "
                f"{error}"
            ) from error
