"""Generative memory models: write images, read, denoise and generate.

Importing `kgpm` is cheap: sub-packages load on first use, so that a command
line can answer `--help` without waiting for TensorFlow. It turns oneDNN on,
which TensorFlow looks for once, when it loads: import `kgpm` first.
"""

import importlib
from types import ModuleType

from kgpm import onednn
from kgpm.errors import UserError

__version__ = "0.1.0"

_SUBPACKAGES = (
    "data",
    "evaluation",
    "layers",
    "likelihoods",
    "models",
    "ops",
    "serving",
    "training",
)

__all__ = ["UserError", "__version__", *_SUBPACKAGES]


onednn.turn_on()


def __getattr__(name: str) -> ModuleType:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"kgpm.{name}")
    raise AttributeError(f"module 'kgpm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
