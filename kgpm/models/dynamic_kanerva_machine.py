"""Dynamic Kanerva Machine."""

from typing import Any

import keras

from kgpm.layers import DynamicKanervaMemory
from kgpm.models.memory_model import MemoryModel


@keras.saving.register_keras_serializable(package="kgpm")
class DynamicKanervaMachine(MemoryModel):
    """Dynamic Kanerva Machine (Wu et al., NeurIPS 2018).

    An encoder makes codes, `DynamicKanervaMemory` writes them one after the
    other and solves for the address of a read, a decoder gives the likelihood
    of the pixels given `w M`. Memory and addresses are drawn in training and
    evaluation alike, and `kl_w` and `kl_memory` charge for these draws. The
    loss is the full bound plus the autoencoder term, which bypasses the
    memory and is in no bound.

    Args:
        image_shape: `(H, W, C)`.
        memory_size: K, rows of the memory.
        code_size: C, length of a code.
        likelihood: `bernoulli`, `gaussian`, `discretized_logistic`,
            `discretized_logistic_mixture`, or an instance.
        width: channels of encoder and decoder, one number or a list, finest
            scale first.
        num_blocks: residual blocks at each scale.
        normalization: of the residual networks, `group` or `none`.
        encoder: one of `kgpm.layers.ENCODERS`.
        decoder: one of `kgpm.layers.DECODERS`.
        observation_noise: s of the surrogate N(z; w M, s^2 I) that is solved
            and written with.
        learn_observation_noise: whether s is learned.
        address_noise: standard deviation of an address's prior.
        num_opt_iters: updates of each written code, see the layer.
        learn_prior: whether the prior of the memory is learned.
        autoencoder_weight: weight of the autoencoder term in the loss.
        memory_kl_weight: weight of `kl_memory` in the loss.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = DynamicKanervaMachine(image_shape=(28, 28, 1))
        >>> memory = model.write(episode)
        >>> steps = model.denoise(queries, memory, num_steps=10)
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
        observation_noise: float = 1.0,
        learn_observation_noise: bool = False,
        address_noise: float = 1.0,
        num_opt_iters: int = 1,
        learn_prior: bool = True,
        autoencoder_weight: float = 1.0,
        memory_kl_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            DynamicKanervaMemory(
                memory_size,
                code_size,
                observation_noise=observation_noise,
                learn_observation_noise=learn_observation_noise,
                address_noise=address_noise,
                num_opt_iters=num_opt_iters,
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
