"""GPM's read beside a memory that is written image by image."""

from typing import Any

import keras

from kgpm.layers import SequentialMemory
from kgpm.models.default_networks import residual_networks
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class SequentialGPM(LatentModel):
    """GPM with the Kalman write of the Dynamic Kanerva Machine.

    `SequentialMemory` writes codes one after the other and has a density:
    reads draw M from it, and `kl_memory` is paid. The control that shows what
    the direct write of `GPM` gains and what it costs in speed.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the default memory; 32 by default.
        code_size: C, length of a code; 100 by default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the default encoder and decoder, one number or a
            list, finest scale first; 16 by default.
        encoder: by default an `ImageEncoder`.
        memory: by default a `SequentialMemory`, whose options are its own.
        decoder: by default an `ImageDecoder`.
        autoencoder_weight: weight of the autoencoder term in the loss.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Source: Pham et al., ICLR 2022; Wu et al., NeurIPS 2018, for the write.
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
            memory = SequentialMemory(
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
