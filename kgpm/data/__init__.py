"""Where images come from: data sets, episodes and corruptions.

The names load on first use, so that a command line can list `SOURCES` without
waiting for TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from kgpm.data.sources import BINARIZATIONS
from kgpm.data.sources import SOURCES
from kgpm.data.sources import SPLITS

if TYPE_CHECKING:
    from kgpm.data import corruptions
    from kgpm.data.augmentation import check_augmentations
    from kgpm.data.batching import episodes
    from kgpm.data.batching import num_batches
    from kgpm.data.corruptions import CORRUPTIONS
    from kgpm.data.image_set import ImageSet
    from kgpm.data.loading import load_images
    from kgpm.data.memory_batching import memory_batches

_MODULES = {
    "CORRUPTIONS": "corruptions",
    "ImageSet": "image_set",
    "check_augmentations": "augmentation",
    "episodes": "batching",
    "load_images": "loading",
    "memory_batches": "memory_batching",
    "num_batches": "batching",
}

__all__ = [
    "BINARIZATIONS",
    "CORRUPTIONS",
    "SOURCES",
    "SPLITS",
    "ImageSet",
    "check_augmentations",
    "corruptions",
    "episodes",
    "load_images",
    "memory_batches",
    "num_batches",
]


def __getattr__(name: str) -> Any:
    if name == "corruptions":
        return importlib.import_module("kgpm.data.corruptions")
    if name not in _MODULES:
        raise AttributeError(f"module 'kgpm.data' has no attribute {name!r}")
    module = importlib.import_module(f"kgpm.data.{_MODULES[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
