"""The flags of the programs that work on a finished run. No TensorFlow."""

from kgpm.cli import flags
from kgpm.cli.flag_groups import definers


def define_stored_run_flags(
    values: flags.FlagValues, split_help: str, split: str = "test"
) -> None:
    """Defines which run, which of its checkpoints, and which images.

    Args:
        values: the program's `FlagValues`.
        split_help: what the program does with the split.
        split: default of `--split`.
    """
    flags.define_run_flags(values)
    flags.define_data_flags(values)
    enum = definers(values, "program")[4]
    enum("split", split, ["train", "validation", "test"], split_help)
    define_checkpoint_flag(values)


def define_checkpoint_flag(values: flags.FlagValues) -> None:
    """Defines which of a run's models is meant.

    Args:
        values: the program's `FlagValues`.
    """
    enum = definers(values, "program")[4]
    enum(
        "checkpoint",
        "best",
        ["best", "last"],
        "Which model of the run: that of the lowest validation bound, or that "
        "of the last epoch.",
    )


def define_reading_flags(values: flags.FlagValues) -> None:
    """Defines how images are read repeatedly.

    Args:
        values: the program's `FlagValues`.
    """
    _, integer, _, real, _ = definers(values, "program")
    integer(
        "num_steps",
        10,
        "How many images each row of the picture goes through.",
        lower_bound=1,
    )
    real(
        "threshold",
        0.5,
        "Probability from which a binary pixel counts as 1 when it is fed "
        "back; grey and RGB images are fed back as they are.",
        lower_bound=0.0,
        upper_bound=1.0,
    )


def define_output_flag(values: flags.FlagValues) -> None:
    """Defines where a picture goes.

    Args:
        values: the program's `FlagValues`.
    """
    string = definers(values, "program")[0]
    string(
        "output",
        None,
        "PNG file to write; without it a file in --model_dir.",
    )
