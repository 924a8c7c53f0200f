"""Checks of a model's parts: they fit, and each option has an effect."""

from collections.abc import Mapping
from typing import Any

from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_goes_with
from kgpm.errors import check_sizes
from kgpm.layers import Encoder
from kgpm.layers import Memory
from kgpm.layers import PerImage
from kgpm.ops import KL_MEMORY

PARTS = ("encoder", "memory", "decoder")
# The default parts that an argument of a constructor is for.
_FOR_DEFAULTS = {
    "memory_size": ("memory",),
    "num_embeddings": ("memory",),
    "read": ("memory",),
    "code_size": PARTS,
    "embedding_dim": PARTS,
    "latent_size": ("memory", "decoder"),
    "width": ("encoder", "decoder"),
}


def check_defaults_used(arguments: Mapping[str, Any]) -> None:
    """Refuses a size that is given beside the very parts it is for.

    Args:
        arguments: of a model's constructor, `None` for what is not given.

    Raises:
        UserError: a size without effect, or below 1.
    """
    for name, parts in _FOR_DEFAULTS.items():
        value = arguments.get(name)
        if isinstance(value, int):
            check_sizes(**{name: value})
        check_goes_with(
            f"a default {' or '.join(parts)}",
            any(arguments.get(part) is None for part in parts),
            **{name: value},
        )


def check_options_used(
    encoder: Encoder,
    memory: Memory,
    memory_kl_weight: float | None,
    held_out_weight: float | None,
    num_inner_reads: int | None,
) -> None:
    """Refuses options that have no effect with these parts.

    Args:
        encoder: of the model.
        memory: of the model.
        memory_kl_weight: `None` if not given, as the others.
        held_out_weight: see there.
        num_inner_reads: see there.

    Raises:
        UserError: with the parts that the option goes with.
    """
    has_density = KL_MEMORY in memory.term_names
    check_goes_with(
        "a memory that has a density (DynamicKanervaMemory, KanervaMemory, "
        "SequentialMemory)",
        has_density,
        memory_kl_weight=memory_kl_weight,
    )
    check_goes_with(
        "a memory that leaves each code out (SlotMemory)",
        memory.leaves_each_out and not memory.explains_itself,
        held_out_weight=held_out_weight,
    )
    check_goes_with(
        "a memory without a density and an encoder that sees each image on "
        "its own",
        memory.stores and not has_density and not encoder.mixes_images,
        num_inner_reads=num_inner_reads,
    )


def build(model: Any) -> None:
    """Builds the parts of a model; those that were brought are tried.

    Args:
        model: a `LatentModel` with its parts.

    Raises:
        UserError: parts that do not fit each other.
    """
    for name in PARTS:
        part = getattr(model, name)
        # A layer of the user's is built by its first call.
        if not part.built and not isinstance(part, PerImage):
            part.build()
    given = model.arguments()
    if any(given.get(name) is not None for name in PARTS):
        _try(model)


def _try(model: Any) -> None:
    """Passes two images through the parts: a mean over one can hide much."""
    *sides, channels = model.image_shape
    count = model.likelihood.num_parameters(channels)
    try:
        codes = model.encode(ops.zeros((1, 2, *sides, channels)))
        memory = model.memory.write(codes) if model.memory.stores else None
        latents = model.memory.sample(codes, memory, 0).latents
        found = tuple(model.decode(latents).shape)
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            "Expected an encoder, a memory and a decoder that fit each other, "
            f"received ones that end in {type(error).__name__}: {reason}"
        ) from error
    if found != (1, 2, *sides, count):
        raise UserError(
            f"Expected a decoder whose output ends with {[*sides, count]}, "
            f"{count} parameters a pixel for the {model.likelihood.name} "
            f"likelihood, received {list(found[2:])}."
        )
