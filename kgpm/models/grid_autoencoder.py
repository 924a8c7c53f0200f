"""An autoencoder, the control without a bottleneck."""

from typing import Any

import keras
from keras import ops

from kgpm.models.grid_model import GridModel
from kgpm.models.grid_model import Passed


@keras.saving.register_keras_serializable(package="kgpm")
class GridAutoencoder(GridModel):
    """Encoder and decoder of VQ-VAE with nothing between them.

    What a comparison of `MemoryVAE` and `VQVAE` needs beside them: how low
    the error goes if a grid of real vectors passes as it is. No bound: such a
    grid can hold an image in full, and nothing is charged for it.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        embedding_dim: length of a vector.
        likelihood: see `GridModel`, as all that follow.
        data_variance: see there.
        width: see there.
        residual_width: see there.
        num_blocks: see there.
        share_blocks: see there.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.
    """

    term_names: tuple[str, ...] = ("nll",)
    has_prior = False
    why_no_bound = "nothing is charged for the code"

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
        embedding_dim: int = 64,
        likelihood: Any = "fixed_gaussian",
        data_variance: float = 0.0633,
        width: int | list | tuple = (64, 128),
        residual_width: int = 32,
        num_blocks: int = 2,
        share_blocks: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_shape,
            embedding_dim,
            likelihood,
            data_variance,
            width,
            residual_width,
            num_blocks,
            share_blocks,
            **kwargs,
        )
        self.built = True

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Passed:
        return Passed(vectors, {}, ops.zeros(ops.shape(vectors)[:-2]), {}, {})
