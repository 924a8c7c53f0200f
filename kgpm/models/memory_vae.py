"""The external-memory "VAE", its variational form, and their control."""

from typing import Any

import keras

from kgpm.layers import NoBottleneck
from kgpm.layers import SoftBottleneck
from kgpm.layers import VariationalBottleneck
from kgpm.models.default_networks import grid_networks
from kgpm.models.default_networks import grid_of
from kgpm.models.latent_model import LatentModel


@keras.saving.register_keras_serializable(package="kgpm")
class MemoryVAE(LatentModel):
    """An autoencoder that reads a learned memory by similarity.

    Each vector of a grid is replaced by an average of the memory's rows
    (`SoftBottleneck`). Despite its published name it is no VAE: nothing is
    drawn, nothing is charged for the weights, and there is no prior to
    generate from; `VariationalMemoryVAE` has all three. Loss and plain batches
    are as in `VQVAE`.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        memory_size: K, rows of the default bottleneck; 512 by default.
        embedding_dim: D, length of a row; 64 by default.
        likelihood: see `VQVAE`.
        width: see `VQVAE`.
        encoder: by default a `GridEncoder`.
        memory: by default a `SoftBottleneck`, whose options are its own.
        decoder: by default a `GridDecoder`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = MemoryVAE(image_shape=(32, 32, 3))
        >>> model.read(images).shape  # [N, 32, 32, 3] as the images

    Source: Y. Ni, "Exploration of External Memory in Variational
    Auto-Encoder".
    """

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
        memory_size: int | None = None,
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
            memory = SoftBottleneck(
                grid_of(encoder),
                memory_size or 512,
                embedding_dim or 64,
                name="memory",
            )
        super().__init__(
            image_shape, encoder, memory, decoder, likelihood, **kwargs
        )


@keras.saving.register_keras_serializable(package="kgpm")
class VariationalMemoryVAE(LatentModel):
    """`MemoryVAE` made a variational autoencoder.

    Its addresses are drawn, one row a place of the grid, and paid for
    (`VariationalBottleneck`): `nll + kl_a` bounds `-log p(x)`.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        memory_size: K, rows of the default bottleneck; 512 by default.
        embedding_dim: D, length of a row; 64 by default.
        likelihood: see `VQVAE`.
        width: see `VQVAE`.
        encoder: by default a `GridEncoder`.
        memory: by default a `VariationalBottleneck`.
        decoder: by default a `GridDecoder`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.

    Source: ours; see `VariationalBottleneck`.
    """

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
        memory_size: int | None = None,
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
            memory = VariationalBottleneck(
                grid_of(encoder),
                memory_size or 512,
                embedding_dim or 64,
                name="memory",
            )
        super().__init__(
            image_shape, encoder, memory, decoder, likelihood, **kwargs
        )


@keras.saving.register_keras_serializable(package="kgpm")
class GridAutoencoder(LatentModel):
    """Encoder and decoder of VQ-VAE with nothing between them.

    What a comparison of `MemoryVAE` and `VQVAE` needs beside them: how low
    the error goes if a grid of real vectors passes as it is. No bound: such a
    grid can hold an image in full, and nothing is charged for it.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        embedding_dim: D, length of a vector; 64 by default.
        likelihood: see `VQVAE`.
        width: see `VQVAE`.
        encoder: by default a `GridEncoder`.
        memory: by default `NoBottleneck`.
        decoder: by default a `GridDecoder`.
        **kwargs: of `LatentModel`.

    Raises:
        UserError: arguments that make no model.
    """

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
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
            memory = NoBottleneck(name="memory")
        super().__init__(
            image_shape, encoder, memory, decoder, likelihood, **kwargs
        )
