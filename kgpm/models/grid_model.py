"""Autoencoders whose latent is a grid of vectors."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm import likelihoods
from kgpm.errors import check_positive
from kgpm.layers import Draw
from kgpm.layers import GridDecoder
from kgpm.layers import GridEncoder
from kgpm.models.latent_model import LatentModel
from kgpm.ops import make_seed
from kgpm.ops import split_seed


class Passed(NamedTuple):
    """What comes out of the bottleneck for grids of P vectors.

    Attributes:
        vectors: what is decoded, `[..., P, D]`.
        kl: divergences by term name, `[...]` in nats.
        log_ratio: see `Draw`.
        auxiliary: losses by name, `[...]`, in squares per number.
        figures: what is shown beside the bound, `[...]` or `[..., K]`.
    """

    vectors: Any
    kl: dict[str, Any]
    log_ratio: Any
    auxiliary: dict[str, Any]
    figures: dict[str, Any]


class GridModel(LatentModel):
    """Base of VQ-VAE, its soft relatives and the autoencoder without either.

    Images become a grid of vectors, which pass a bottleneck and are decoded.
    Nothing is written when the model is used: images are plain batches
    `[N, H, W, C]`, or `[B, T, H, W, C]` as for the other models.

    A subclass provides `bottleneck`, and `sample_prior_latents` where there is
    a prior.

    The published loss is the squared error over the variance of the data,
    NMSE, plus auxiliary losses. By default `-log p(x | z)` is `D / 2` times
    NMSE (and (255 / 256)^2, as dequantised pixels lie closer) and a constant,
    D the numbers in an image, and the auxiliary losses have the factor `D / 2`
    too: the published loss in nats.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        embedding_dim: D, length of a vector.
        likelihood: a `kgpm.likelihoods.Likelihood` or its name; the name
            `fixed_gaussian` means `FixedGaussian(data_variance)`.
        data_variance: of the pixels of the training images on [0, 1]: that
            of CIFAR-10 by default.
        width: channels of the finer and the coarser scale.
        residual_width: channels inside the residual blocks.
        num_blocks: residual blocks of encoder and decoder.
        share_blocks: whether these share their weights, see `ResidualStack`.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.
    """

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
        check_positive(data_variance=data_variance)
        if likelihood == likelihoods.FixedGaussian.name:
            likelihood = likelihoods.FixedGaussian(data_variance)
        super().__init__(image_shape, likelihood, **kwargs)
        self.data_variance = data_variance
        self.network: dict[str, Any] = {
            "width": width,
            "residual_width": residual_width,
            "num_blocks": num_blocks,
            "share_blocks": share_blocks,
        }
        self.encoder = GridEncoder(
            image_shape, embedding_dim, name="encoder", **self.network
        )
        self.decoder = GridDecoder(
            image_shape,
            embedding_dim,
            self.likelihood.num_parameters(self.image_shape[-1]),
            name="decoder",
            **self.network,
        )
        self.encoder.build()
        self.decoder.build()
        self.embedding_dim = embedding_dim
        self.grid_shape = self.encoder.grid_shape
        self.num_vectors = math.prod(self.grid_shape)
        self.code_size = self.latent_size = self.num_vectors * embedding_dim
        # What turns the published losses into nats.
        self.nats_per_nmse = 0.5 * math.prod(self.image_shape)
        # What a subclass adds it builds in its constructor too.
        self.built = True

    # Latents are as the images say, without noise.
    draws_latents = False

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Passed:
        """Lets vectors `[..., P, D]` of images of weights `[...]` pass."""
        raise NotImplementedError

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        return {"nmse": keras.metrics.Mean(name="nmse")}

    def encode(
        self, images: Any, weights: Any = None, training: bool = False
    ) -> Any:
        """The vectors of each image, one after the other, `[..., P D]`."""
        images = self.check_images(images)
        vectors = self.encoder(images)
        return ops.reshape(vectors, (*ops.shape(vectors)[:-3], self.code_size))

    def decode(self, latents: Any) -> Any:
        shape = (*ops.shape(latents)[:-1], *self.grid_shape, self.embedding_dim)
        return self.decoder(ops.reshape(latents, shape))

    def sample_latents(
        self, codes: Any, memory: Any, seed: Any, training: bool = False
    ) -> Draw:
        passed = self._pass(codes, None, seed, training)
        return Draw(_joined(passed.vectors), passed.kl, passed.log_ratio)

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        return self.sample_latents(codes, memory, make_seed(0)).latents

    def latents_of(self, codes: Any) -> Any:
        return self.mean_latents(codes, None)

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        # Where all latents are alike likely, and where there is no prior.
        return ops.zeros(ops.shape(codes)[:-1])

    def bound_terms(
        self,
        images: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        codes = self.encode(images, weights, training)
        return self._terms(images, codes, weights, seed, training)[0]

    def score(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        seed: Any,
        training: bool = False,
    ) -> dict[str, Any]:
        return self._terms(images, codes, None, seed, training)[0]

    def training_terms(
        self, images: Any, weights: Any, seed: Any
    ) -> dict[str, Any]:
        codes = self.encode(images, weights, training=True)
        terms, auxiliary = self._terms(images, codes, weights, seed, True)
        return {**terms, **auxiliary}

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "data_variance": self.data_variance,
            **self.network,
        }

    def _pass(
        self, codes: Any, weights: Any, seed: Any, training: bool
    ) -> Passed:
        shape = (*ops.shape(codes)[:-1], self.num_vectors, self.embedding_dim)
        vectors = ops.reshape(codes, shape)
        return self.bottleneck(vectors, weights, make_seed(seed), training)

    def _terms(
        self, images: Any, codes: Any, weights: Any, seed: Any, training: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Terms of the bound with figures, and auxiliary losses."""
        draw_seed, pixel_seed = split_seed(make_seed(seed), 2)
        passed = self._pass(codes, weights, draw_seed, training)
        parameters = self.decode(_joined(passed.vectors))
        error = ops.cast(images, "float32") - self.likelihood.mean(parameters)
        terms = {
            "nll": -self.likelihood.log_prob(images, parameters, pixel_seed),
            **passed.kl,
            "nmse": ops.mean(ops.square(error), axis=(-3, -2, -1))
            / self.data_variance,
            **passed.figures,
        }
        return terms, passed.auxiliary


def _joined(vectors: Any) -> Any:
    """`[..., P, D]` to `[..., P D]`."""
    *leading, count, size = ops.shape(vectors)
    return ops.reshape(vectors, (*leading, count * size))
