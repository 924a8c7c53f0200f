"""Variational autoencoder."""

from typing import Any

import keras

from kgpm.layers import GaussianLatent
from kgpm.models.default_networks import residual_networks
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class VAE(LatentModel):
    """Variational autoencoder (Kingma and Welling, 2014), without a memory.

    The baseline that shows what a memory buys: encoder, decoder and
    likelihood of the memory models, `p(z) = N(0, I)` and a diagonal Gaussian
    `q(z | x)` with as many dimensions as their codes. Episodes mean nothing
    to it: each image is on its own, and the terms `nll` and `kl_z` bound
    `log p(x)` itself.

    Args:
        image_shape: `(H, W, C)`.
        code_size: C, length of a code and of a latent; 100 by default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance.
        width: channels of the default encoder and decoder, one number or a
            list, finest scale first; 16 by default.
        encoder: by default an `ImageEncoder`.
        memory: by default a `GaussianLatent`, whose options are its own.
        decoder: by default an `ImageDecoder`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = VAE(image_shape=(28, 28, 1))
        >>> new = model.generate(num_samples=16, num_steps=1)
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        code_size: int | None = None,
        likelihood: Any = "bernoulli",
        width: Any = None,
        encoder: Any = None,
        memory: Any = None,
        decoder: Any = None,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = residual_networks(
            image_shape, code_size, likelihood, width, encoder, decoder
        )
        if memory is None:
            memory = GaussianLatent(code_size or 100, name="memory")
        super().__init__(
            image_shape,
            encoder,
            memory,
            decoder,
            likelihood,
            **kwargs,
        )
