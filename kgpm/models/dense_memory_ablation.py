"""The baseline of Kanerva++ without a memory of cells."""

from typing import Any

import keras

from kgpm.layers import BlockMemory
from kgpm.layers import DenseMemory
from kgpm.models.keyed_memory_model import KeyedMemoryModel


@keras.saving.register_keras_serializable(package="kgpm")
class DenseMemoryAblation(KeyedMemoryModel):
    """Kanerva++ with a dense network where its memory was.

    All of `KanervaPlusPlus` but writer, windows and convolutional prior, for
    which `DenseMemory` stands, with as many parameters to within 1%.

    Args:
        image_shape: `(H, W, C)`.
        code_size: length of a code.
        latent_size: length of the latent.
        num_reads: K, keys of a read.
        memory_size: of the Kanerva++ whose parameters are matched.
        memory_channels: the same.
        window_size: the same.
        projection_size: units of the dense prior's hidden layers; by default
            as many as match those parameters.
        likelihood: `bernoulli`, `gaussian`, `discretized_logistic`,
            `discretized_logistic_mixture`, or an instance.
        width: channels of all networks.
        num_blocks: blocks at each scale of the encoder.
        normalization: of the residual networks, `group` or `none`.
        encoder: one of `kgpm.layers.ENCODERS`.
        decoder: one of `kgpm.layers.DECODERS`.
        hidden_size: units of the networks of keys and latents.
        activation: of these networks; `linear` makes them deep linear.
        **kwargs: of `keras.Model`.

    Raises:
        UserError: arguments that make no model.

    Source: Ramapuram et al., "Kanerva++", ICLR 2021, figure 9.
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
        projection_size: int | None = None,
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
        replaced = BlockMemory(
            code_size,
            latent_size,
            num_reads,
            memory_size=memory_size,
            memory_channels=memory_channels,
            window_size=window_size,
            width=width,
        )
        if projection_size is None:
            replaced.writer.build()
            replaced.trace_prior.build()
            projection_size = DenseMemory.projection_size_for(
                replaced.writer.count_params()
                + replaced.trace_prior.count_params(),
                code_size,
                latent_size,
                num_reads,
            )
        super().__init__(
            DenseMemory(
                code_size,
                latent_size,
                num_reads,
                projection_size=projection_size,
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
        self.matched = {
            "memory_size": memory_size,
            "memory_channels": memory_channels,
            "window_size": window_size,
        }
        self.built = True

    def get_config(self) -> dict:
        return {**super().get_config(), **self.matched}
