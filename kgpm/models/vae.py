"""Variational autoencoder."""

from typing import Any

import keras
from keras import ops

from kgpm.layers import Draw
from kgpm.layers import GaussianHead
from kgpm.models.autoencoder_model import AutoencoderModel
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import log_density_diagonal
from kgpm.ops import make_seed
from kgpm.ops import normal


@keras.saving.register_keras_serializable(package="kgpm")
class VAE(AutoencoderModel):
    """Variational autoencoder (Kingma and Welling, 2014), without a memory.

    The baseline that shows what a memory buys: encoder, decoder and
    likelihood of the memory models, `p(z) = N(0, I)` and a diagonal Gaussian
    `q(z | x)` with as many dimensions as their codes. Episodes mean nothing
    to it: each image is on its own, and the terms `nll` and `kl_z` bound
    `log p(x)` itself.

    Args:
        image_shape: `(H, W, C)`.
        code_size: C, length of a code and of a latent.
        likelihood: `bernoulli`, `gaussian`, `discretized_logistic`,
            `discretized_logistic_mixture`, or an instance.
        width: channels of encoder and decoder, one number or a list, finest
            scale first.
        num_blocks: residual blocks at each scale.
        normalization: of the residual networks, `group` or `none`.
        encoder: one of `kgpm.layers.ENCODERS`.
        decoder: one of `kgpm.layers.DECODERS`.
        hidden_size: units of the network from codes to `q(z | x)`.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = VAE(image_shape=(28, 28, 1))
        >>> new = model.generate(num_samples=16, num_steps=1)
    """

    term_names = ("nll", "kl_z")

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        code_size: int = 100,
        likelihood: Any = "bernoulli",
        width: int | list = 16,
        num_blocks: int = 1,
        normalization: str = "group",
        encoder: str = "residual",
        decoder: str = "residual",
        hidden_size: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_shape,
            code_size,
            likelihood,
            width,
            num_blocks,
            normalization,
            encoder=encoder,
            decoder=decoder,
            **kwargs,
        )
        self.hidden_size = hidden_size
        self.posterior = GaussianHead(code_size, hidden_size, name="posterior")
        self.posterior.build((None, None, code_size))
        self.built = True

    def sample_latents(
        self, codes: Any, memory: Any, seed: Any, training: bool = False
    ) -> Draw:
        posterior = self.posterior(codes)
        latents = posterior.sample(make_seed(seed))
        standard = ops.zeros_like(latents)
        log_ratio = log_density_diagonal(
            latents, standard, standard
        ) - log_density_diagonal(latents, *posterior)
        kl_z = kl_diagonal_standard(*posterior)
        return Draw(latents, {"kl_z": kl_z}, log_ratio)

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        return self.latents_of(codes)

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        return normal((1, num_samples, self.code_size), seed, "float32")

    def latents_of(self, codes: Any) -> Any:
        return self.posterior(codes).mean

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        return 0.5 * ops.sum(ops.square(self.latents_of(codes)), axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "hidden_size": self.hidden_size}
