"""Checks of a model's parts: they fit, and each option has an effect."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_goes_with
from kgpm.errors import check_sizes
from kgpm.layers import Draw
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
    """Writes two images and reads three: a mean over one can hide much."""
    *sides, channels = model.image_shape
    count = model.likelihood.num_parameters(channels)
    written, queries = (ops.zeros((1, n, *sides, channels)) for n in (2, 3))
    memory = None
    codes = _passed(model, "encoder", model.encode, written)
    if model.memory.stores:
        memory = _passed(model, "memory", model.memory.write, codes)
    draw = _passed(
        model,
        "memory",
        lambda codes: model.memory.sample(codes, memory, 0),
        model.encode(queries),
    )
    _check_terms(model.memory, draw)
    found = _passed(model, "decoder", model.decode, draw.latents)
    if tuple(found.shape) != (1, 3, *sides, count):
        raise UserError(
            f"Expected a decoder whose output ends with {[*sides, count]}, "
            f"{count} parameters a pixel for the {model.likelihood.name} "
            f"likelihood, received {list(found.shape[2:])}."
        )


def _passed(
    model: Any, name: str, function: Callable[[Any], Any], given: Any
) -> Any:
    """What a part makes of what it is given."""
    try:
        return function(given)
    except UserError:
        raise
    except Exception as error:
        shapes = keras.tree.map_structure(lambda v: list(v.shape[2:]), given)
        raise UserError(
            "Expected an encoder, a memory and a decoder that fit each other, "
            f"received a {name} ({type(getattr(model, name)).__name__}) that "
            f"ends in {type(error).__name__} for an input of shape {shapes}: "
            "give all of them the same sizes, such as code_size."
        ) from error


def _check_terms(memory: Memory, draw: Draw) -> None:
    expected = set(memory.term_names) - {KL_MEMORY}
    if set(draw.kl) != expected:
        named, drawn = (
            ", ".join(sorted(names)) or "none" for names in (expected, draw.kl)
        )
        raise UserError(
            f"Expected {type(memory).__name__}.sample to return the "
            f"divergences of its term_names ({named}), received {drawn}."
        )
    for name, value in {**draw.kl, "log_ratio": draw.log_ratio}.items():
        if tuple(value.shape) != (1, 3):
            raise UserError(
                f"Expected {name} of shape [B, Q], a number an image, from "
                f"{type(memory).__name__}.sample, received "
                f"{list(value.shape)} for B = 1, Q = 3."
            )
