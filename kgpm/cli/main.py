"""What every program does around its own work: parse, set up, report errors."""

import os
import sys
from collections.abc import Callable
from collections.abc import Sequence

from absl import flags as absl_flags

from kgpm.cli import flags
from kgpm.cli import quiet
from kgpm.cli.help import help_text
from kgpm.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
_HELP = frozenset(["--help", "-help", "-h", "--helpfull", "--helpshort"])


def run(
    program: str,
    main: Callable[[flags.FlagValues], None],
    define_flags: Callable[[flags.FlagValues], None],
    description: str,
    argv: Sequence[str] | None = None,
    *,
    check: Callable[[flags.FlagValues], None] = lambda values: None,
) -> int:
    """Runs a program: flags in, exit code out.

    Args:
        program: name of the module, such as `"kgpm.train"`, which begins each
            error message.
        main: the program's work, given the parsed flags. It is called with
            the seed, determinism, dtype policy and kernels of the flags set.
        define_flags: defines the program's flags on a new `FlagValues`.
        description: what `--help` shows above the flags.
        argv: arguments without the program's name; `sys.argv[1:]` if None.
        check: called with the parsed flags before TensorFlow loads, which
            takes seconds: for what can be read or refused at once.

    Returns:
        0, or 2 after a user's mistake (one sentence went to stderr), or 130
        after Ctrl-C. Everything else that is raised is a defect of the
        package and passes through with its traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    values = flags.FlagValues()
    define_flags(values)
    try:
        if _HELP.intersection(arguments):
            _read(values, [each for each in arguments if each not in _HELP])
            # Flushed here, where a closed pipe is caught.
            print(help_text(program, values, description), flush=True)
            return 0
        parse(values, arguments)
        check(values)
        flags.check_effects(values)
        quiet.import_tensorflow()
        prepare(values)
        main(values)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(program, "interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of stdout (such as `head`) has what it wanted; without
        # the redirection Python complains once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            raise
        return _fail(program, sentence, EXIT_USER_ERROR)
    return 0


def parse(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Parses arguments into `values`.

    Args:
        values: defined flags.
        arguments: the command line without the program's name.

    Raises:
        UserError: for an unknown flag, a value out of bounds, a flagfile that
            cannot be read, an argument that is not a flag, or no value of
            one that is required.
    """
    _read(values, arguments)
    for group in flags.GROUPS:
        for flag in flags.flags_in_group(values, group):
            if flag.row.required and not flag.value:
                raise UserError(
                    f"--{flag.name} is required: name {flag.row.required}"
                )


def training_flags(*arguments: str) -> flags.FlagValues:
    """The flags of a training, parsed. Raises what `parse` does."""
    values = flags.define(flags.FlagValues(), *flags.TRAINING)
    parse(values, arguments)
    return values


def prepare(values: flags.FlagValues) -> None:
    """Sets the seed, determinism, dtype policy and kernels of the flags.

    Args:
        values: parsed flags; those that the program does not have are left
            at TensorFlow's state.
    """
    import keras
    import tensorflow as tf

    from kgpm.ops import choose_kernels

    if "seed" in values:
        keras.utils.set_random_seed(values["seed"].value)
    if "deterministic" in values and values["deterministic"].value:
        tf.config.experimental.enable_op_determinism()
    # Ten bits of mantissa are too few for a memory's algebra; a GPU that is
    # to be faster than float32 has --dtype_policy=mixed_bfloat16.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if "dtype_policy" in values:
        keras.config.set_dtype_policy(values["dtype_policy"].value)
    if "kernels" in values:
        choose_kernels(values.kernels)


def _read(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    try:
        rest = values(["", *arguments])[1:]
    except absl_flags.Error as error:
        text = str(error).removeprefix("ERROR:: ").replace(" ?", "?")
        raise UserError(text[:1].lower() + text[1:]) from None
    except UnicodeDecodeError:
        raise UserError(
            "a --flagfile must be text with one --flag=value a line, but the "
            "one given is not text"
        ) from None
    if rest:
        raise UserError(
            f"expected only flags like --name=value, received {rest[0]!r}"
        )


def sentence_for(error: Exception) -> str | None:
    """Returns one sentence for a user's mistake, None for a defect."""
    if isinstance(error, UserError):
        return _last_sentence(str(error))
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return f"{reason}: {error.filename}" if error.filename else reason
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        # What TensorFlow's own files meet: no permission, a full disk or no
        # memory, a damaged record.
        known = (
            tf.errors.PermissionDeniedError,
            tf.errors.ResourceExhaustedError,
            tf.errors.DataLossError,
        )
        if isinstance(error, known):
            return str(error.message).strip().splitlines()[0]
    return None


def _last_sentence(message: str) -> str:
    # Raised while a function was traced, the message comes back behind an
    # excerpt of the code: its last line is what was said.
    if message.startswith("in user code:"):
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        message = lines[-1].split("Error: ", 1)[-1]
    return " ".join(message.split())


def _fail(program: str, sentence: str, code: int) -> int:
    sys.stdout.flush()
    print(f"{program}: {sentence}", file=sys.stderr)
    return code
