"""Encoders and decoders by name."""

from typing import Any

import keras

from kgpm.errors import check_choice
from kgpm.layers.networks.image_networks import ImageDecoder
from kgpm.layers.networks.image_networks import ImageEncoder
from kgpm.layers.networks.temporal_shift_resnet import TemporalShiftResNet
from kgpm.layers.networks.transposed_decoder import TransposedDecoder

ENCODERS = ("residual", "tsm_resnet", "tsm_resnet_small")
DECODERS = ("residual", "transposed")


def make_encoder(
    name: str,
    image_shape: tuple,
    code_size: int,
    width: int | list,
    num_blocks: int,
    normalization: str,
) -> keras.layers.Layer:
    """An encoder of episodes `[B, T, H, W, channels]` to codes `[B, T, C]`.

    It has `code_size`, `image_shape` and `mixes_images`: whether a code also
    depends on the other images of its episode.

    Args:
        name: one of `ENCODERS`; `tsm_resnet_small` has the stem for small
            images.
        image_shape: `(H, W, channels)`.
        code_size: C.
        width: channels, see the layer.
        num_blocks: blocks at each scale.
        normalization: of the residual encoder.

    Raises:
        UserError: an unknown name, or arguments that make no network.
    """
    check_choice("encoder", name, ENCODERS)
    arguments: dict[str, Any] = {
        "width": width,
        "num_blocks": num_blocks,
        "name": "encoder",
    }
    if name != "residual":
        stem = "small" if name == "tsm_resnet_small" else "standard"
        return TemporalShiftResNet(
            image_shape, code_size, stem=stem, **arguments
        )
    return ImageEncoder(
        image_shape, code_size, normalization=normalization, **arguments
    )


def make_decoder(
    name: str,
    image_shape: tuple,
    latent_size: int,
    num_parameters: int,
    width: Any,
    num_blocks: int,
    normalization: str,
) -> keras.layers.Layer:
    """A decoder of latents `[..., latent_size]` to `[..., H, W, parameters]`.

    Args:
        name: one of `DECODERS`.
        image_shape: `(H, W, channels)`.
        latent_size: length of a latent.
        num_parameters: likelihood parameters a pixel.
        width: channels, see the layer.
        num_blocks: blocks at each scale of the residual decoder.
        normalization: of the residual decoder.

    Raises:
        UserError: an unknown name, or arguments that make no network.
    """
    check_choice("decoder", name, DECODERS)
    if name == "transposed":
        return TransposedDecoder(
            image_shape, latent_size, num_parameters, width, name="decoder"
        )
    return ImageDecoder(
        image_shape,
        latent_size,
        num_parameters,
        width=width,
        num_blocks=num_blocks,
        normalization=normalization,
        name="decoder",
    )
