"""Models by name."""

import difflib

from kgpm.errors import UserError
from kgpm.models.dense_memory_ablation import DenseMemoryAblation
from kgpm.models.dynamic_kanerva_machine import DynamicKanervaMachine
from kgpm.models.gpm import GPM
from kgpm.models.grid_autoencoder import GridAutoencoder
from kgpm.models.kanerva_machine import KanervaMachine
from kgpm.models.kanerva_plus_plus import KanervaPlusPlus
from kgpm.models.latent_model import LatentModel
from kgpm.models.memory_vae import MemoryVAE
from kgpm.models.vae import VAE
from kgpm.models.variational_memory_vae import VariationalMemoryVAE
from kgpm.models.vma import VMA
from kgpm.models.vqvae import VQVAE

MODELS: dict[str, type[LatentModel]] = {
    "grid_autoencoder": GridAutoencoder,
    "dkm": DynamicKanervaMachine,
    "gpm": GPM,
    "km": KanervaMachine,
    "kpp": KanervaPlusPlus,
    "kpp_dense": DenseMemoryAblation,
    "memory_vae": MemoryVAE,
    "vae": VAE,
    "variational_memory_vae": VariationalMemoryVAE,
    "vma": VMA,
    "vq_vae": VQVAE,
}


def get(name: str) -> type[LatentModel]:
    """The model class of a name, such as `gpm`.

    Raises:
        UserError: unknown name, with the nearest known one.
    """
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(name.lower(), MODELS, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"Expected model to be one of {', '.join(sorted(MODELS))}, "
        f"received {name!r}.{hint}"
    )
