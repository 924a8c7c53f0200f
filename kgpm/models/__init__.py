"""Generative memory models, one system a file."""

from kgpm.models.bound_model import BoundModel
from kgpm.models.dynamic_kanerva_machine import DynamicKanervaMachine
from kgpm.models.gpm import GPM
from kgpm.models.kanerva_machine import KanervaMachine
from kgpm.models.kanerva_plus_plus import DenseMemoryAblation
from kgpm.models.kanerva_plus_plus import KanervaPlusPlus
from kgpm.models.latent_model import LatentModel
from kgpm.models.memory_vae import GridAutoencoder
from kgpm.models.memory_vae import MemoryVAE
from kgpm.models.memory_vae import VariationalMemoryVAE
from kgpm.models.sequential_gpm import SequentialGPM
from kgpm.models.slot_memory_vae import SlotMemoryVAE
from kgpm.models.vae import VAE
from kgpm.models.vma import VMA
from kgpm.models.vqvae import VQVAE

# By the names of the command line.
MODELS: dict[str, type[LatentModel]] = {
    "gpm": GPM,
    "slot_vae": SlotMemoryVAE,
    "sequential_gpm": SequentialGPM,
    "km": KanervaMachine,
    "dkm": DynamicKanervaMachine,
    "kpp": KanervaPlusPlus,
    "kpp_dense": DenseMemoryAblation,
    "vma": VMA,
    "vae": VAE,
    "memory_vae": MemoryVAE,
    "variational_memory_vae": VariationalMemoryVAE,
    "vq_vae": VQVAE,
    "grid_autoencoder": GridAutoencoder,
}

__all__ = [
    "MODELS",
    "VAE",
    "VMA",
    "VQVAE",
    "BoundModel",
    "DenseMemoryAblation",
    "DynamicKanervaMachine",
    "GPM",
    "GridAutoencoder",
    "KanervaMachine",
    "KanervaPlusPlus",
    "LatentModel",
    "MemoryVAE",
    "SequentialGPM",
    "SlotMemoryVAE",
    "VariationalMemoryVAE",
]
