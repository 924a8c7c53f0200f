"""VQ-VAE."""

from typing import Any

import keras

from kgpm.layers import QuantizedBottleneck
from kgpm.models.default_networks import grid_networks
from kgpm.models.default_networks import grid_of
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class VQVAE(LatentModel):
    """Vector-quantised variational autoencoder (van den Oord et al., 2017).

    An encoder makes a grid of vectors, `QuantizedBottleneck` replaces each by
    the nearest of K codes, a decoder gives the likelihood of the pixels. The
    terms `nll` and `kl_a` bound `-log p(x)`. Nothing is written when the model
    is used: images may be plain batches `[N, H, W, C]`.

    The published loss is the squared error over the variance of the data,
    NMSE, plus auxiliary losses. By default `-log p(x | z)` is `D / 2` times
    NMSE (and (255 / 256)^2, as dequantised pixels lie closer) and a constant,
    D the numbers in an image, and the auxiliary losses have the factor `D / 2`
    too: the published loss in nats. An average of the weights (`ema_momentum`)
    leaves codes that are running means as they are.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        num_embeddings: K, codes of the default bottleneck; 512 by default.
        embedding_dim: D, length of a vector; 64 by default.
        likelihood: a name of `kgpm.likelihoods.LIKELIHOODS`, or an instance:
            `FixedGaussian(variance)` for the variance of the data, which by
            default is that of CIFAR-10.
        width: channels of the finer and the coarser scale of the default
            networks; 64 and 128 by default.
        encoder: by default a `GridEncoder`.
        memory: by default a `QuantizedBottleneck`, whose options are its own.
        decoder: by default a `GridDecoder`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = VQVAE(image_shape=(32, 32, 3))
        >>> model.read(images).shape  # [N, 32, 32, 3] as the images

    Source: van den Oord et al., "Neural Discrete Representation Learning",
    NeurIPS 2017.
    """

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
        num_embeddings: int | None = None,
        embedding_dim: int | None = None,
        likelihood: Any = "fixed_gaussian",
        width: Any = None,
        encoder: Any = None,
        memory: Any = None,
        decoder: Any = None,
        **kwargs: Any,
    ) -> None:
        encoder, decoder = grid_networks(
            image_shape, embedding_dim, likelihood, width, encoder, decoder
        )
        if memory is None:
            memory = QuantizedBottleneck(
                grid_of(encoder),
                num_embeddings or 512,
                embedding_dim or 64,
                name="memory",
            )
        super().__init__(
            image_shape, encoder, memory, decoder, likelihood, **kwargs
        )
