"""Kanerva++."""

from typing import Any

import keras

from kgpm.layers import BlockMemory
from kgpm.models.keyed_memory_model import KeyedMemoryModel


@keras.saving.register_keras_serializable(package="kgpm")
class KanervaPlusPlus(KeyedMemoryModel):
    """Kanerva++ (Ramapuram et al., ICLR 2021).

    An encoder makes codes; `BlockMemory` decodes their mean to a square of
    cells and reads windows of it at sampled keys, whose traces give the prior
    of the latent; a decoder gives the likelihood of the pixels from the
    latent alone. The terms are `nll`, `kl_z` and `kl_y`. The memory is a
    function of the written images and costs nothing: the bound is conditional
    on it.

    With the published encoder an image's code depends on its neighbours in
    the episode, and so do reads: queries are read together.

    Args:
        image_shape: `(H, W, C)`.
        code_size: length of a code; 512, the features of ResNet18, as
            published.
        latent_size: length of the latent.
        num_reads: K, windows of a read.
        memory_size: side of the square of cells.
        memory_channels: channels of a cell.
        window_size: points along each side of a window.
        key_transform: `literal` or `bounded`, see `BlockMemory`.
        likelihood: `bernoulli`, `gaussian`, `discretized_logistic`,
            `discretized_logistic_mixture`, or an instance.
        width: channels of all networks, 64 as published; see
            `TemporalShiftResNet`, `TransposedDecoder` and `TracePrior`.
        num_blocks: blocks at each scale of the encoder; 2 as published.
        normalization: of the residual networks, `group` or `none`.
        encoder: one of `kgpm.layers.ENCODERS`.
        decoder: one of `kgpm.layers.DECODERS`.
        hidden_size: units of the networks of keys and latents.
        activation: of these networks; `linear` makes them deep linear.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = KanervaPlusPlus(image_shape=(28, 28, 1))
        >>> memory = model.write(episode)
        >>> near = model.generate(memory, keys=model.keys_of(episode) + noise)
    """

    def __init__(
        self,
        image_shape: tuple = (28, 28, 1),
        code_size: int = 512,
        latent_size: int = 100,
        num_reads: int = 2,
        memory_size: int = 64,
        memory_channels: int = 3,
        window_size: int = 32,
        key_transform: str = "literal",
        likelihood: Any = "bernoulli",
        width: int = 64,
        num_blocks: int = 2,
        normalization: str = "group",
        encoder: str = "tsm_resnet",
        decoder: str = "transposed",
        hidden_size: int = 512,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            BlockMemory(
                code_size,
                latent_size,
                num_reads,
                memory_size=memory_size,
                memory_channels=memory_channels,
                window_size=window_size,
                key_transform=key_transform,
                width=width,
                hidden_size=hidden_size,
                activation=activation,
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
            latent_size=latent_size,
            **kwargs,
        )
        self.built = True
