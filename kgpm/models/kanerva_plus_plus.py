"""Kanerva++, and its ablation without a memory of cells."""

from typing import Any

import keras

from kgpm.layers import BlockMemory
from kgpm.layers import DenseMemory
from kgpm.layers import TemporalShiftResNet
from kgpm.layers import TransposedDecoder
from kgpm.models.default_networks import num_parameters
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class KanervaPlusPlus(LatentModel):
    """Kanerva++ (Ramapuram et al., ICLR 2021).

    An encoder makes codes; `BlockMemory` decodes their mean to a square of
    cells and reads windows of it at sampled keys, whose traces give the prior
    of the latent; a decoder gives the likelihood of the pixels from the
    latent alone. The terms are `nll`, `kl_z` and `kl_y`. The memory is a
    function of the written images and costs nothing: the bound is conditional
    on it.

    With the published encoder an image's code depends on its neighbours in
    the episode, and so do reads: queries are read together.

    Args:
        image_shape: `(H, W, C)`.
        code_size: length of a code; 512, the features of ResNet18, as
            published.
        latent_size: length of the latent, 100 by default.
        memory_size: side of the square of cells of the default memory; 64.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of all default networks, 64 as published.
        encoder: by default a `TemporalShiftResNet`.
        memory: by default a `BlockMemory`, whose options are its own.
        decoder: by default a `TransposedDecoder`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = KanervaPlusPlus(image_shape=(28, 28, 1))
        >>> memory = model.write(episode)
        >>> keys = model.memory.keys_of(model.encode(episode)) + noise
        >>> latents = model.memory.sample_at(memory, keys, seed=0)
        >>> near = model.generate_from(latents, memory)
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        code_size: int | None = None,
        latent_size: int | None = None,
        memory_size: int | None = None,
        likelihood: Any = "bernoulli",
        width: Any = None,
        encoder: Any = None,
        memory: Any = None,
        decoder: Any = None,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = _networks(
            image_shape,
            code_size,
            latent_size,
            likelihood,
            width,
            encoder,
            decoder,
        )
        if memory is None:
            memory = BlockMemory(
                code_size or 512,
                latent_size or 100,
                memory_size=memory_size or 64,
                width=width or 64,
                name="memory",
            )
        super().__init__(
            image_shape, encoder, memory, decoder, likelihood, **kwargs
        )


@keras.saving.register_keras_serializable(package="kgpm")
class DenseMemoryAblation(LatentModel):
    """Kanerva++ with a dense network where its memory was.

    All of `KanervaPlusPlus` but writer, windows and convolutional prior, for
    which `DenseMemory` stands, with as many parameters to within 1%.

    Args:
        image_shape: `(H, W, C)`.
        code_size: length of a code; 512 by default.
        latent_size: length of the latent; 100 by default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the default networks; 64 by default.
        encoder: by default a `TemporalShiftResNet`.
        memory: by default the `DenseMemory` that matches a `BlockMemory` of
            these sizes.
        decoder: by default a `TransposedDecoder`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Source: Ramapuram et al., "Kanerva++", ICLR 2021, figure 9.
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        code_size: int | None = None,
        latent_size: int | None = None,
        likelihood: Any = "bernoulli",
        width: Any = None,
        encoder: Any = None,
        memory: Any = None,
        decoder: Any = None,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = _networks(
            image_shape,
            code_size,
            latent_size,
            likelihood,
            width,
            encoder,
            decoder,
        )
        if memory is None:
            memory = DenseMemory.matching(
                BlockMemory(
                    code_size or 512, latent_size or 100, width=width or 64
                ),
                name="memory",
            )
        super().__init__(
            image_shape, encoder, memory, decoder, likelihood, **kwargs
        )


def _networks(
    image_shape: tuple,
    code_size: int | None,
    latent_size: int | None,
    likelihood: Any,
    width: Any,
    encoder: Any,
    decoder: Any,
) -> tuple[Any, Any]:
    width = width or 64
    if encoder is None:
        encoder = TemporalShiftResNet(
            image_shape, code_size or 512, width, name="encoder"
        )
    if decoder is None:
        count = num_parameters(image_shape, likelihood)
        decoder = TransposedDecoder(
            image_shape, latent_size or 100, count, width, name="decoder"
        )
    return encoder, decoder
