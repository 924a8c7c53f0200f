"""Kanerva Machine."""

from typing import Any

import keras

from kgpm.layers import KanervaMemory
from kgpm.models.memory_model import MemoryModel


@keras.saving.register_keras_serializable(package="kgpm")
class KanervaMachine(MemoryModel):
    """Kanerva Machine (Wu et al., ICLR 2018).

    An encoder makes codes; `KanervaMemory` draws a key and a latent for each,
    conditions its memory on them in one solve, and reads with the memory's
    prediction as the prior of the latent; a decoder gives the likelihood of
    the pixels. The terms are `nll`, `kl_z`, `kl_y` and `kl_memory`; the loss
    leaves `kl_memory` out by default, as the paper's does, and every report
    shows it.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the memory.
        code_size: C, length of a code, of a latent and of a row.
        likelihood: `bernoulli`, `gaussian`, `discretized_logistic`,
            `discretized_logistic_mixture`, or an instance.
        width: channels of encoder and decoder, one number or a list, finest
            scale first.
        num_blocks: residual blocks at each scale.
        normalization: of the residual networks, `group` or `none`.
        encoder: one of `kgpm.layers.ENCODERS`.
        decoder: one of `kgpm.layers.DECODERS`.
        key_size: S, length of a key.
        hidden_size: units of the networks of keys and latents.
        observation_noise: s of p(z | y, M) = N(w M, s^2 I), or where it
            starts.
        learn_observation_noise: whether s is learned.
        learn_prior: whether the prior of the memory is learned.
        autoencoder_weight: weight in the loss of decoding the mean of the
            write's q(z | h). The paper has no such term; with it latents are
            worth storing before the memory can return them. Never in a bound.
        memory_kl_weight: weight of `kl_memory` in the loss. At 0 the prior of
            the memory is trained for reading alone, and `kl_memory` is
            reported as it is.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = KanervaMachine(image_shape=(28, 28, 1))
        >>> memory = model.write(episode, seed=0)
        >>> new = model.generate(memory, num_samples=16)
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        memory_size: int = 32,
        code_size: int = 100,
        likelihood: Any = "bernoulli",
        width: int | list = 16,
        num_blocks: int = 1,
        normalization: str = "group",
        encoder: str = "residual",
        decoder: str = "residual",
        key_size: int = 50,
        hidden_size: int = 128,
        observation_noise: float = 1.0,
        learn_observation_noise: bool = True,
        learn_prior: bool = True,
        autoencoder_weight: float = 0.0,
        memory_kl_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            KanervaMemory(
                memory_size,
                code_size,
                key_size=key_size,
                hidden_size=hidden_size,
                observation_noise=observation_noise,
                learn_observation_noise=learn_observation_noise,
                learn_prior=learn_prior,
                name="memory",
            ),
            image_shape,
            code_size,
            likelihood,
            width,
            num_blocks,
            normalization,
            encoder=encoder,
            decoder=decoder,
            autoencoder_weight=autoencoder_weight,
            memory_kl_weight=memory_kl_weight,
            **kwargs,
        )
        self.built = True
