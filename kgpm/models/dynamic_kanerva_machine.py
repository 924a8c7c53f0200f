"""Dynamic Kanerva Machine."""

from typing import Any

import keras

from kgpm.layers import DynamicKanervaMemory
from kgpm.models.default_networks import residual_networks
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class DynamicKanervaMachine(LatentModel):
    """Dynamic Kanerva Machine (Wu et al., NeurIPS 2018).

    An encoder makes codes, `DynamicKanervaMemory` writes them one after the
    other and solves for the address of a read, a decoder gives the likelihood
    of the pixels given `w M`. Memory and addresses are drawn in training and
    evaluation alike, and `kl_w` and `kl_memory` charge for these draws. The
    loss is the full bound plus the autoencoder term, which bypasses the
    memory and is in no bound.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the default memory; 32 by default.
        code_size: C, length of a code; 100 by default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the default encoder and decoder, one number or a
            list, finest scale first; 16 by default.
        encoder: by default an `ImageEncoder`.
        memory: by default a `DynamicKanervaMemory`, whose options are its own.
        decoder: by default an `ImageDecoder`.
        autoencoder_weight: weight of the autoencoder term in the loss.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = DynamicKanervaMachine(image_shape=(28, 28, 1))
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
        autoencoder_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = residual_networks(
            image_shape, code_size, likelihood, width, encoder, decoder
        )
        if memory is None:
            memory = DynamicKanervaMemory(
                memory_size or 32, code_size or 100, name="memory"
            )
        super().__init__(
            image_shape,
            encoder,
            memory,
            decoder,
            likelihood,
            autoencoder_weight=autoencoder_weight,
            **kwargs,
        )
