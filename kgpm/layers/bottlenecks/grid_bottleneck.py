"""A bottleneck of grids of vectors, in the place of a memory."""

import abc
from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.memory import Memory
from kgpm.ops import make_seed


class GridBottleneck(Memory):
    """Base of what a grid of vectors passes between encoder and decoder.

    Codes and latents are grids `[..., h, w, D]`, of plain batches too. Nothing
    is written when the model is used: what it learned are parameters. A
    subclass has `bottleneck`, and `sample_prior` where there is a prior.

    Args:
        **kwargs: of `keras.layers.Layer`.
    """

    # `(h, w)` of a grid; empty where nothing depends on it.
    grid_shape: tuple = ()
    stores = False
    # Latents are as the images say, without noise.
    draws = False
    rows_are_latents = False

    @abc.abstractmethod
    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Draw:
        """Lets vectors `[..., P, D]` of images of weights `[...]` pass."""

    def vectors_of(self, codes: Any) -> Any:
        """Grids `[..., h, w, D]` as vectors `[..., P, D]`.

        Raises:
            UserError: grids of another size, whose places a prior would
                miscount.
        """
        *leading, height, width, size = ops.shape(codes)
        expected = self.grid_shape or (height, width)
        if (height, width) != expected:
            raise UserError(
                f"Expected codes in grids of {expected[0]} x {expected[1]} "
                f"for this {type(self).__name__}, received {height} x {width}."
            )
        return ops.reshape(codes, (*leading, height * width, size))

    def prior(self, batch_size: Any) -> None:
        return None

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> None:
        return None

    def read(self, codes: Any, memory: Any = None) -> Any:
        """The noise-free grids of codes."""
        return self.sample(codes, None, make_seed(0)).latents

    def sample(
        self,
        codes: Any,
        memory: Any,
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        draw = self.bottleneck(
            self.vectors_of(codes), weights, make_seed(seed), training
        )
        return draw._replace(
            latents=ops.reshape(draw.latents, ops.shape(codes))
        )

    def latents_of(self, codes: Any) -> Any:
        return self.read(codes)

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        # Where all latents are alike likely, and where there is no prior.
        return ops.zeros(ops.shape(codes)[:-3])

    def residual(self, codes: Any, latents: Any, memory: Any) -> Any:
        error = ops.square(self.latents_of(codes) - latents)
        return ops.sum(error, axis=(-3, -2, -1))


@keras.saving.register_keras_serializable(package="kgpm")
class NoBottleneck(GridBottleneck):
    """Grids pass as they are: no bound, as nothing is charged for them.

    Args:
        **kwargs: of `keras.layers.Layer`.
    """

    has_prior = False
    why_no_bound = "nothing is charged for the code"

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Draw:
        return Draw(vectors, {}, ops.zeros(ops.shape(vectors)[:-2]))
