"""Encoders and decoders of the sizes that a model's constructor names."""

from typing import Any

from kgpm import likelihoods
from kgpm.errors import UserError
from kgpm.layers import GridDecoder
from kgpm.layers import GridEncoder
from kgpm.layers import ImageDecoder
from kgpm.layers import ImageEncoder


def num_parameters(image_shape: tuple, likelihood: Any) -> int:
    """What a decoder gives for each pixel."""
    return likelihoods.get(likelihood).num_parameters(image_shape[-1])


def residual_networks(
    image_shape: tuple,
    code_size: int | None,
    likelihood: Any,
    width: Any,
    encoder: Any,
    decoder: Any,
) -> tuple[Any, Any]:
    """Encoder and decoder: those that were brought, else residual networks.

    Args:
        image_shape: `(H, W, C)`.
        code_size: of codes and latents, 100 by default.
        likelihood: a name or an instance.
        width: channels, see `ImageEncoder`; 16 by default.
        encoder: what was brought, or `None`.
        decoder: what was brought, or `None`.
    """
    code_size, width = code_size or 100, width or 16
    if encoder is None:
        encoder = ImageEncoder(image_shape, code_size, width, name="encoder")
    if decoder is None:
        count = num_parameters(image_shape, likelihood)
        decoder = ImageDecoder(
            image_shape, code_size, count, width, name="decoder"
        )
    return encoder, decoder


def grid_networks(
    image_shape: tuple,
    embedding_dim: int | None,
    likelihood: Any,
    width: Any,
    encoder: Any,
    decoder: Any,
) -> tuple[Any, Any]:
    """The same for grids of vectors, of length 64 by default."""
    embedding_dim, width = embedding_dim or 64, width or (64, 128)
    if encoder is None:
        encoder = GridEncoder(image_shape, embedding_dim, width, name="encoder")
    if decoder is None:
        count = num_parameters(image_shape, likelihood)
        decoder = GridDecoder(
            image_shape, embedding_dim, count, width, name="decoder"
        )
    return encoder, decoder


def grid_of(encoder: Any) -> tuple:
    """The grid `(h, w)` that a default bottleneck is for.

    Raises:
        UserError: an encoder that was brought, of which nobody knows.
    """
    if not isinstance(encoder, GridEncoder):
        raise UserError(
            "Expected memory= beside an encoder of your own, for whose grid "
            f"there is no default bottleneck, received {encoder!r} alone."
        )
    return encoder.grid_shape
