"""The ablation of Kanerva++: a dense network in the place of the memory."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.memories.block import BlockMemory
from kgpm.layers.memories.keyed import KEY_SIZE
from kgpm.layers.memories.keyed import KeyedMemory
from kgpm.layers.networks.gaussian_head import LEAST_PRIOR_SCALE
from kgpm.layers.networks.gaussian_head import DiagonalGaussian


@keras.saving.register_keras_serializable(package="kgpm")
class DenseMemory(KeyedMemory):
    """The mean code of an episode itself, and a dense prior of the latent.

    `p(z | y, M) = N(MLP([mean code, y_1, ..., y_K]))` with two hidden layers:
    all that `BlockMemory` does with writer, windows and convolutions. The
    mean code alone may enter: a prior that saw each image's own code would
    make `kl_z` vanish and tell nothing.

    A memory is a value: `{"embedding": [B, code_size]}`.

    Args:
        code_size: length of a code.
        latent_size: length of a latent.
        num_reads: K, keys of a read.
        projection_size: units of the prior's hidden layers; see `matching`.
        hidden_size: units of the networks of keys and latents.
        activation: of these networks; `linear` makes them deep linear.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1.

    Source: the baseline of Ramapuram et al., "Kanerva++", ICLR 2021, fig. 9.
    """

    def __init__(
        self,
        code_size: int,
        latent_size: int,
        num_reads: int = 2,
        projection_size: int = 1024,
        hidden_size: int = 512,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        check_sizes(projection_size=projection_size)
        super().__init__(
            code_size, latent_size, num_reads, hidden_size, activation, **kwargs
        )
        self.projection_size = projection_size
        self.projection = [
            keras.layers.Dense(
                size,
                activation=function,
                kernel_initializer=initializer,
                dtype=self.dtype_policy,
                name=f"projection_{i}",
            )
            for i, (size, function, initializer) in enumerate(
                [
                    (projection_size, "relu", "glorot_uniform"),
                    (projection_size, "relu", "glorot_uniform"),
                    # The prior starts as N(0, I), as in `TracePrior`.
                    (2 * latent_size, None, "zeros"),
                ]
            )
        ]

    @classmethod
    def matching(cls, memory: BlockMemory, **kwargs: Any) -> "DenseMemory":
        """The memory with about as many parameters as a `BlockMemory`.

        `projection_size` is the positive root of
        `h^2 + (F + 3K + 2L + 2) h + 2L = n`, n the parameters of its writer
        and its prior.

        Args:
            memory: what this one stands for.
            **kwargs: of `keras.layers.Layer`.
        """
        # Of a copy: to count parameters is to make them, which a memory does
        # but once.
        twin = type(memory).from_config(memory.get_config())
        twin.build()
        number = twin.writer.count_params() + twin.trace_prior.count_params()
        sizes = memory.code_size, memory.latent_size, memory.num_reads
        half = (sizes[0] + KEY_SIZE * sizes[2] + 2 * sizes[1] + 2) / 2
        rest = max(number - 2 * sizes[1], 0)
        projection_size = max(round(math.sqrt(half**2 + rest) - half), 1)
        return cls(
            *sizes,
            projection_size,
            memory.hidden_size,
            memory.activation,
            **kwargs,
        )

    def build(self, input_shape: tuple | None = None) -> None:
        size = self.code_size + KEY_SIZE * self.num_reads
        for layer in self.projection:
            layer.build((None, None, size))
            size = layer.units
        super().build(input_shape)

    def memory_floats(self, episode_length: int) -> int:
        return self.code_size

    def write_mean(self, code: Any) -> dict[str, Any]:
        return {"embedding": code}

    def latent_prior(
        self, memory: dict[str, Any], keys: Any
    ) -> DiagonalGaussian:
        shape = ops.shape(keys)
        keys = ops.reshape(keys, (*shape[:2], self.num_reads * KEY_SIZE))
        code = ops.repeat(memory["embedding"][:, None], shape[1], axis=1)
        hidden = ops.concatenate([code, keys], axis=-1)
        for layer in self.projection:
            hidden = layer(hidden)
        return DiagonalGaussian.of(hidden, least_scale=LEAST_PRIOR_SCALE)

    def rows(self, memory: dict[str, Any]) -> Any:
        return memory["embedding"][:, None]
