"""Generative Pseudo-Inverse Memory."""

from typing import Any

import keras

from kgpm.layers import PseudoInverseMemory
from kgpm.models.default_networks import residual_networks
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class GPM(LatentModel):
    """Generative Pseudo-Inverse Memory (Pham et al., ICLR 2022).

    An encoder makes codes, `PseudoInverseMemory` writes them in one solve and
    reads `z = w M + noise`, a decoder gives the likelihood of the pixels. The
    memory is a function of the images without a density, so it costs nothing,
    and the bound is conditional on it (docs/bounds.md).

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the default memory, less than `code_size`; 32
            by default.
        code_size: C, length of a code; 100 by default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the default encoder and decoder, one number or a
            list, finest scale first; 16 by default.
        encoder: by default an `ImageEncoder`.
        memory: by default a `PseudoInverseMemory`, whose options are its own.
        decoder: by default an `ImageDecoder`.
        num_inner_reads: 0 for the linear read, as published. With more it is
            an attractor read: the image that z stands for is encoded and
            projected on the memory so often, all of it inside p(x | w, M).
        autoencoder_weight: weight of the bijective term in the loss.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = GPM(image_shape=(28, 28, 1))
        >>> memory = model.write(episode)
        >>> steps = model.denoise(queries, memory, num_steps=10)
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        memory_size: int | None = None,
        code_size: int | None = None,
        likelihood: Any = "bernoulli",
        width: Any = None,
        encoder: Any = None,
        memory: Any = None,
        decoder: Any = None,
        num_inner_reads: int = 0,
        autoencoder_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = residual_networks(
            image_shape, code_size, likelihood, width, encoder, decoder
        )
        if memory is None:
            memory = PseudoInverseMemory(
                memory_size or 32, code_size or 100, name="memory"
            )
        super().__init__(
            image_shape,
            encoder,
            memory,
            decoder,
            likelihood,
            num_inner_reads=num_inner_reads,
            autoencoder_weight=autoencoder_weight,
            **kwargs,
        )
