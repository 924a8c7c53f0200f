"""Kanerva Machine."""

from typing import Any

import keras

from kgpm.layers import KanervaMemory
from kgpm.models.default_networks import residual_networks
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class KanervaMachine(LatentModel):
    """Kanerva Machine (Wu et al., ICLR 2018).

    An encoder makes codes; `KanervaMemory` draws a key and a latent for each,
    conditions its memory on them in one solve, and reads with the memory's
    prediction as the prior of the latent; a decoder gives the likelihood of
    the pixels. The terms are `nll`, `kl_z`, `kl_y` and `kl_memory`; the loss
    leaves `kl_memory` out by default, as the paper's does, and every report
    shows it.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the default memory; 32 by default.
        code_size: C, length of a code, of a latent and of a row; 100 by
            default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the default encoder and decoder, one number or a
            list, finest scale first; 16 by default.
        encoder: by default an `ImageEncoder`.
        memory: by default a `KanervaMemory`, whose options are its own.
        decoder: by default an `ImageDecoder`.
        autoencoder_weight: weight in the loss of decoding the mean of the
            write's q(z | h). The paper has no such term; with it latents are
            worth storing before the memory can return them. Never in a bound.
        memory_kl_weight: weight of `kl_memory` in the loss. At 0 the prior of
            the memory is trained for reading alone, and `kl_memory` is
            reported as it is.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = KanervaMachine(image_shape=(28, 28, 1))
        >>> memory = model.write(episode, seed=0)
        >>> new = model.generate(memory, num_samples=16)
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
        autoencoder_weight: float = 0.0,
        memory_kl_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = residual_networks(
            image_shape, code_size, likelihood, width, encoder, decoder
        )
        if memory is None:
            memory = KanervaMemory(
                memory_size or 32, code_size or 100, name="memory"
            )
        super().__init__(
            image_shape,
            encoder,
            memory,
            decoder,
            likelihood,
            autoencoder_weight=autoencoder_weight,
            memory_kl_weight=memory_kl_weight,
            **kwargs,
        )
