"""Models outside Python: exports, servers and their client.

Each name loads its module on first use: an exported model needs no Keras.
"""

import importlib
from typing import Any

_NAMES = {
    "Client": "kgpm.serving.client.client",
    "ExportedModel": "kgpm.serving.exported_model",
    "ServingError": "kgpm.errors",
    "export_model": "kgpm.serving.export.saved_model",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'kgpm.serving' has no attribute {name!r}")
