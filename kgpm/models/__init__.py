"""Generative memory models, one system a file."""

from kgpm.models.autoencoder_model import AutoencoderModel
from kgpm.models.bound_model import BoundModel
from kgpm.models.gpm import GPM
from kgpm.models.memory_model import MemoryModel
from kgpm.models.registry import MODELS
from kgpm.models.registry import get

__all__ = [
    "GPM",
    "MODELS",
    "AutoencoderModel",
    "BoundModel",
    "MemoryModel",
    "get",
]
