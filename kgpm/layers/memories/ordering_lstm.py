"""Lets the codes of an episode see each other before they are written."""

from typing import Any

import keras

from kgpm.configuration import Configured
from kgpm.errors import UserError


@keras.saving.register_keras_serializable(package="kgpm")
class OrderingLSTM(Configured, keras.layers.Layer):
    """Two bidirectional LSTM layers over the T codes of an episode.

    The published GPM code holds this for ordering the writes. It breaks
    exchangeability, so here it shapes the *keys* of a write alone: contents
    and queries never see their neighbours, in training or at test.

    Args:
        code_size: C, even; each direction has C / 2 units.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        codes: `[B, T, C]`.
        weights: `[B, T]`; a code of weight 0 is passed over.

    Returns:
        Keys `[B, T, C]`.

    Raises:
        UserError: an odd code size.
    """

    def __init__(self, code_size: int, **kwargs: Any) -> None:
        if code_size % 2:
            raise UserError(
                "Expected an even code_size for ordering='lstm' (half for "
                f"each direction), received {code_size}."
            )
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.code_size = code_size
        self.layers = [
            keras.layers.Bidirectional(
                keras.layers.LSTM(
                    code_size // 2,
                    return_sequences=True,
                    dtype=self.dtype_policy,
                    name=f"lstm_{i}",
                ),
                # Its own policy would round what passes it.
                dtype=self.dtype_policy,
                name=f"bidirectional_{i}",
            )
            for i in range(2)
        ]

    def build(self, input_shape: tuple | None = None) -> None:
        for layer in self.layers:
            layer.build((None, None, self.code_size))
        self.built = True

    def call(self, codes: Any, weights: Any = None) -> Any:
        mask = None if weights is None else weights > 0
        for layer in self.layers:
            codes = layer(codes, mask=mask)
        return codes
