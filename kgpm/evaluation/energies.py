"""Energies of patterns under a memory, which repeated reading lowers."""

from typing import Any

from kgpm.models import LatentModel
from kgpm.ops import make_seed


def energy(model: LatentModel, images: Any, memory: Any = None) -> Any:
    """Free energy of patterns under a fixed memory and the mean read.

    `-log p(x | mean read of x) + latent_energy`, which repeated reading
    lowers in general: the pixel step exactly, the amortised latent step
    not always.

    Args:
        model: that reads.
        images: `[B, Q, H, W, C]`.
        memory: as `write` returns it.

    Returns:
        `[B, Q]` in nats.
    """
    memory = model.memory.recall(memory)
    codes = model.encode(images)
    parameters = model.decode(model.mean_latents(codes, memory))
    log_prob = model.likelihood.log_prob(images, parameters, make_seed(0))
    return model.memory.latent_energy(codes, memory) - log_prob


def code_residual(model: LatentModel, images: Any, memory: Any = None) -> Any:
    """Squared distance of an image's own latents from its mean read.

    0 for a pattern that the memory holds exactly where a code is its own
    latent (GPM, DKM), and always without a memory.

    Args:
        model: that reads.
        images: `[B, Q, H, W, C]`.
        memory: as `write` returns it.

    Returns:
        `[B, Q]`.
    """
    memory = model.memory.recall(memory)
    codes = model.encode(images)
    latents = model.mean_latents(codes, memory)
    return model.memory.residual(codes, latents, memory)
