"""Generative memory models, one system a file."""

from kgpm.layers.bottlenecks.code_perplexity import CodePerplexity
from kgpm.layers.bottlenecks.code_perplexity import perplexity
from kgpm.models.autoencoder_model import AutoencoderModel
from kgpm.models.bound_model import BoundModel
from kgpm.models.dense_memory_ablation import DenseMemoryAblation
from kgpm.models.dynamic_kanerva_machine import DynamicKanervaMachine
from kgpm.models.gpm import GPM
from kgpm.models.grid_autoencoder import GridAutoencoder
from kgpm.models.grid_model import GridModel
from kgpm.models.image_model import ImageModel
from kgpm.models.importance_weighted_model import ImportanceWeightedModel
from kgpm.models.kanerva_machine import KanervaMachine
from kgpm.models.kanerva_plus_plus import KanervaPlusPlus
from kgpm.models.keyed_memory_model import KeyedMemoryModel
from kgpm.models.latent_model import LatentModel
from kgpm.models.memory_model import MemoryModel
from kgpm.models.memory_vae import ADDRESSES
from kgpm.models.memory_vae import MemoryVAE
from kgpm.models.registry import MODELS
from kgpm.models.registry import get
from kgpm.models.scored_model import ScoredModel
from kgpm.models.vae import VAE
from kgpm.models.variational_memory_vae import VariationalMemoryVAE
from kgpm.models.vma import VMA
from kgpm.models.vqvae import VQVAE

__all__ = [
    "ADDRESSES",
    "perplexity",
    "VQVAE",
    "VariationalMemoryVAE",
    "MemoryVAE",
    "GridModel",
    "CodePerplexity",
    "GridAutoencoder",
    "GPM",
    "MODELS",
    "VAE",
    "VMA",
    "AutoencoderModel",
    "BoundModel",
    "DenseMemoryAblation",
    "DynamicKanervaMachine",
    "ImageModel",
    "ImportanceWeightedModel",
    "KanervaMachine",
    "KanervaPlusPlus",
    "KeyedMemoryModel",
    "LatentModel",
    "MemoryModel",
    "ScoredModel",
    "get",
]
