"""Calls that make the later ones fast."""

from typing import Any

import numpy as np

from kgpm.serving.exported_model import ExportedModel

# These give what the others take.
_ORIGINS = ("prior", "write")


def first_calls(exported: ExportedModel) -> None:
    """Calls each signature once with a small request.

    The first call of a signature is several times as slow as the next. The
    requests in `assets.extra` are for TensorFlow Serving; reading them takes
    its messages, which a server may not have.
    """
    known: dict[str, Any] = {"steps": np.int32(2)}
    names = sorted(exported.signatures, key=lambda name: name not in _ORIGINS)
    for name in names:
        specs = exported.signatures[name]["inputs"]
        inputs = {
            key: known[key] if key in known else _smallest(spec)
            for key, spec in specs.items()
        }
        outputs = exported.call(name, inputs)
        if name in _ORIGINS:
            known |= outputs


def _smallest(spec: dict[str, Any]) -> np.ndarray:
    """Zeros, black images or a seed; ones for a number of something."""
    shape = [1 if size < 0 else size for size in spec["shape"]]
    return np.full(shape, 0 if shape else 1, spec["dtype"])
