"""Where images come from: data sets, episodes and corruptions.

The functions load on first use, so that a command line can list `SOURCES` and
`CORRUPTIONS` without waiting for TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from kgpm.data.corruptions import CORRUPTIONS
from kgpm.data.corruptions import get_corruption
from kgpm.data.corruptions import make_corruption
from kgpm.data.sources import BINARIZATIONS
from kgpm.data.sources import SOURCES
from kgpm.data.sources import SPLITS

if TYPE_CHECKING:
    from kgpm.data.augmentation import check_augmentations
    from kgpm.data.batching import episodes
    from kgpm.data.batching import num_batches
    from kgpm.data.image_set import ImageSet
    from kgpm.data.loading import load_images
    from kgpm.data.memory_batching import memory_batches

_MODULES = {
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
    "episodes",
    "get_corruption",
    "load_images",
    "make_corruption",
    "memory_batches",
    "num_batches",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'kgpm.data' has no attribute {name!r}")
    module = importlib.import_module(f"kgpm.data.{_MODULES[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
