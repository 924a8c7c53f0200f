"""oneDNN: fast kernels of TensorFlow for a CPU, on from its first second."""

import os
import platform
import sys

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def turn_on() -> None:
    """Turns oneDNN on for a TensorFlow that is imported later.

    TensorFlow itself does so on processors with AVX-512 alone, and with AVX2
    a training step takes nearly twice as long without. What the variable
    already says stays; so does everything where TensorFlow, which reads it
    once, is loaded, and on processors of another kind, which were not tried.
    """
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    if is_x86 and "tensorflow" not in sys.modules:
        os.environ.setdefault(VARIABLE, "1")


def is_on() -> bool:
    """Whether the variable asks for it."""
    return os.environ.get(VARIABLE) == "1"
