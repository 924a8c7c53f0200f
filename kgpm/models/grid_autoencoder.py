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
        **kwargs: of `GridModel`.

    Raises:
        UserError: arguments that make no model.
    """

    term_names: tuple[str, ...] = ("nll",)
    has_prior = False
    why_no_bound = "nothing is charged for the code"

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Passed:
        return Passed(vectors, {}, ops.zeros(ops.shape(vectors)[:-2]), {}, {})
