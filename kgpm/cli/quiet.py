"""TensorFlow's import, quick and without its start-up messages."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

# What Keras imports where it finds it, for wrappers and plots of its own: a
# third of the seconds, and no program uses these.
_NOT_NEEDED = ("matplotlib.pyplot", "pandas", "sklearn")


@contextlib.contextmanager
def held_stderr() -> Iterator[None]:
    """Holds back what is written to file descriptor 2 inside the block.

    Native code writes past `sys.stderr`, hence the descriptor. If the block
    raises, what was held back is written after all.
    """
    sys.stderr.flush()
    original = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            except BaseException:
                sys.stderr.flush()
                held.seek(0)
                os.write(original, held.read())
                raise
            finally:
                sys.stderr.flush()
                os.dup2(original, 2)
    finally:
        os.close(original)


@contextlib.contextmanager
def hidden(names: Sequence[str]) -> Iterator[None]:
    """Hides modules that are not loaded yet from imports inside the block."""
    loaded: dict[str, Any] = sys.modules
    absent = [name for name in names if name not in loaded]
    # What Python's import takes for a module that is not there.
    loaded.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            loaded.pop(name, None)


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras without a word on stderr.

    The devices are listed here because that too makes native code talk.
    """
    # Environment variables alone do not silence the import: what native code
    # prints before its logging is set up goes straight to the descriptor.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with held_stderr(), hidden(_NOT_NEEDED):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
