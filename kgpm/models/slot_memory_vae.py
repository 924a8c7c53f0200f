"""A VAE that explains images by codes that were written into slots."""

from typing import Any

import keras

from kgpm.layers import SlotMemory
from kgpm.models.default_networks import residual_networks
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class SlotMemoryVAE(LatentModel):
    """Images explained by slots of a memory, under a bound that pays for them.

    An encoder makes codes, `SlotMemory` keeps each in a slot of its own while
    there are enough, a decoder gives the likelihood of the pixels. A read
    names a slot (or mixes them) and pays for the name alone; the bound is
    conditional on the memory (docs/bounds.md). Where nothing was written the
    categorical read is a variational autoencoder.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, slots of the default memory; 32 by default.
        code_size: C, length of a code; 100 by default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the default encoder and decoder, one number or a
            list, finest scale first; 16 by default.
        read: of the default memory. `categorical` (the default): one slot, or
            something like one, or something new; `softmax`: a mixture
            `softmax(beta w) M` of slots.
        encoder: by default an `ImageEncoder`.
        memory: by default a `SlotMemory`, whose options are its own.
        decoder: by default an `ImageDecoder`.
        autoencoder_weight: weight of the autoencoder term in the loss.
        held_out_weight: weight in the loss of the bound of each image under a
            memory of the others.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = SlotMemoryVAE(image_shape=(28, 28, 1))
        >>> memory = model.write(episode)
        >>> images = model.read(queries, memory)

    Source: ours.
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        memory_size: int | None = None,
        code_size: int | None = None,
        likelihood: Any = "bernoulli",
        width: Any = None,
        read: str | None = None,
        encoder: Any = None,
        memory: Any = None,
        decoder: Any = None,
        autoencoder_weight: float = 1.0,
        held_out_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = residual_networks(
            image_shape, code_size, likelihood, width, encoder, decoder
        )
        if memory is None:
            memory = SlotMemory(
                memory_size or 32,
                code_size or 100,
                read=read or "categorical",
                name="memory",
            )
        super().__init__(
            image_shape,
            encoder,
            memory,
            decoder,
            likelihood,
            autoencoder_weight=autoencoder_weight,
            held_out_weight=held_out_weight,
            **kwargs,
        )
