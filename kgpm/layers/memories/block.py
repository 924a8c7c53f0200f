"""The memory of Kanerva++."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.layers.memories.keyed import KeyedMemory
from kgpm.layers.memories.trace_prior import TracePrior
from kgpm.layers.networks.gaussian_head import DiagonalGaussian
from kgpm.layers.networks.transposed_decoder import TransposedDecoder
from kgpm.ops import bounded_windows
from kgpm.ops import read_windows
from kgpm.ops import share_inside


@keras.saving.register_keras_serializable(package="kgpm")
class BlockMemory(KeyedMemory):
    """An image-shaped memory, read through windows that keys place.

    Writing decodes the mean code of an episode to a square of cells
    (`TransposedDecoder`). Each of K keys `(s, x, y)` cuts a window out of it
    (`kgpm.ops.read_windows`); the windows, stacked on their channels, give
    the prior of the latent (`TracePrior`). Images are decoded from latents
    alone, so that the divergence of q(z | h) from this prior is what teaches
    the memory.

    A memory is a value: `{"cells": [B, S, S, channels]}`.

    Args:
        code_size: length of a code.
        latent_size: length of a latent.
        num_reads: K, windows of a read.
        memory_size: S, side of the square of cells.
        memory_channels: channels of a cell.
        window_size: points along each side of a window, at most S.
        key_transform: `literal` (a key is the window's scale and shift) or
            `bounded` (windows stay inside the memory).
        width: channels of writer and prior, see these; 64 as published.
        hidden_size: units of the networks of keys and latents.
        activation: of these networks; `linear` makes them deep linear.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, a window larger than the memory, or a side
            that the writer cannot reach.

    Source: Ramapuram et al., "Kanerva++", ICLR 2021.
    """

    def __init__(
        self,
        code_size: int,
        latent_size: int,
        num_reads: int = 2,
        memory_size: int = 64,
        memory_channels: int = 3,
        window_size: int = 32,
        key_transform: str = "literal",
        width: int = 64,
        hidden_size: int = 512,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        check_choice("key_transform", key_transform, ("literal", "bounded"))
        if not 2 <= window_size <= memory_size:
            raise UserError(
                "Expected 2 <= window_size <= memory_size, received "
                f"window_size={window_size}, memory_size={memory_size}."
            )
        super().__init__(
            code_size, latent_size, num_reads, hidden_size, activation, **kwargs
        )
        self.memory_size = memory_size
        self.memory_channels = memory_channels
        self.window_size = window_size
        self.key_transform = key_transform
        self.width = width
        policy = self.dtype_policy
        self.writer = TransposedDecoder(
            (memory_size, memory_size, memory_channels),
            code_size,
            memory_channels,
            width,
            dtype=policy,
            name="writer",
        )
        self.trace_prior = TracePrior(
            window_size,
            num_reads * memory_channels,
            latent_size,
            width,
            dtype=policy,
            name="trace_prior",
        )

    def build(self, input_shape: tuple | None = None) -> None:
        self.writer.build()
        self.trace_prior.build()
        super().build(input_shape)

    def memory_floats(self, episode_length: int) -> int:
        return self.memory_size**2 * self.memory_channels

    def write_mean(self, code: Any) -> dict[str, Any]:
        return {"cells": self.writer(code)}

    def windows(self, keys: Any) -> Any:
        """Windows `(s, x, y)` of keys, `[..., 3]` both."""
        bounded = self.key_transform == "bounded"
        return bounded_windows(keys) if bounded else keys

    def traces(self, memory: dict[str, Any], keys: Any) -> Any:
        """What keys `[B, Q, K, 3]` read, `[B, Q, h, w, K channels]`."""
        size = (self.window_size, self.window_size)
        return read_windows(memory["cells"], self.windows(keys), size)

    def latent_prior(
        self, memory: dict[str, Any], keys: Any
    ) -> DiagonalGaussian:
        return self.trace_prior(self.traces(memory, keys))

    def diagnostics(self, codes: Any, memory: dict[str, Any]) -> dict[str, Any]:
        """Also `window_inside`, the share of the windows' area in the memory.

        A window outside reads zeros, and its key has no gradient.
        """
        inside = share_inside(self.windows(self.keys_of(codes)))
        return {
            **super().diagnostics(codes, memory),
            "window_inside": ops.mean(inside),
        }

    def rows(self, memory: dict[str, Any]) -> Any:
        cells = memory["cells"]
        length = self.memory_size * self.memory_channels
        return ops.reshape(cells, (-1, self.memory_size, length))
