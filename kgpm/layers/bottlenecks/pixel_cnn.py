"""A distribution of grids of integers, one place after the other."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import check_sizes
from kgpm.ops import categorical
from kgpm.ops import fold_in


@keras.saving.register_keras_serializable(package="kgpm")
class PixelCNN(Configured, keras.layers.Layer):
    """Gated PixelCNN over grids of K values.

    Each place depends on the rows above it and on what is left of it, without
    a blind spot: one stack sees the rows above, the other the own row and
    the first. Convolutions over padded maps take the place of masks.
    (`tfp.distributions.PixelCNN` is for the intensities of pixels, whose order
    means something, and made of tf_keras layers.)

    Args:
        num_values: K.
        grid_shape: rows and columns.
        width: channels.
        num_blocks: gated blocks after the first.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        indices: `int32[N, rows, columns]` in 0, ..., K - 1.

    Returns:
        Logits of each place given those before it,
        `[N, rows, columns, K]`, float32.

    Raises:
        UserError: sizes below 1.

    Source: van den Oord et al., "Conditional Image Generation with PixelCNN
    Decoders", NeurIPS 2016, section 2.
    """

    def __init__(
        self,
        num_values: int,
        grid_shape: tuple,
        width: int = 64,
        num_blocks: int = 4,
        **kwargs: Any,
    ) -> None:
        rows, columns = grid_shape
        check_sizes(
            num_values=num_values,
            rows=rows,
            columns=columns,
            width=width,
            num_blocks=num_blocks,
        )
        super().__init__(**{"dtype": "float32", **kwargs})
        self.num_values = num_values
        self.grid_shape = (rows, columns)
        self.width = width
        self.embedding = keras.layers.Embedding(
            num_values, width, dtype=self.dtype_policy, name="embedding"
        )

        def convolution(filters: int, size: Any, name: str) -> Any:
            return keras.layers.Conv2D(
                filters, size, dtype=self.dtype_policy, name=name
            )

        # Twice the channels: one half gates the other.
        self.vertical, self.horizontal, self.links, self.outs = [], [], [], []
        for i in range(num_blocks + 1):
            self.vertical.append(
                convolution(2 * width, (2, 3), f"vertical_{i}")
            )
            self.horizontal.append(
                convolution(2 * width, (1, 2), f"horizontal_{i}")
            )
            self.links.append(convolution(2 * width, 1, f"link_{i}"))
            self.outs.append(convolution(width, 1, f"out_{i}"))
        self.head = [
            convolution(width, 1, "head_0"),
            convolution(num_values, 1, "head_1"),
        ]

    def build(self, input_shape: tuple | None = None) -> None:
        self.embedding.build()
        narrow = (None, None, None, self.width)
        wide = (None, None, None, 2 * self.width)
        for layers, shape in (
            (self.vertical, narrow),
            (self.horizontal, narrow),
            (self.links, wide),
            (self.outs, narrow),
            (self.head, narrow),
        ):
            for layer in layers:
                layer.build(shape)
        self.built = True

    def call(self, indices: Any) -> Any:
        rows, columns = self.grid_shape
        above = beside = self.embedding(indices)
        for i, (vertical, horizontal, link, out) in enumerate(
            zip(
                self.vertical,
                self.horizontal,
                self.links,
                self.outs,
                strict=True,
            )
        ):
            # The first block must not see its own place or row: it looks one
            # further up and left, the later ones at what is already so.
            far = 2 if i == 0 else 1
            above = vertical(_padded(above, far, 0, 1, 1))[:, :rows]
            row = horizontal(_padded(beside, 0, 0, far, 0))[:, :, :columns]
            gated = out(_gate(row + link(above)))
            beside = gated if i == 0 else beside + gated
            above = _gate(above)
        first, last = self.head
        return last(ops.relu(first(ops.relu(beside))))

    def log_prob(self, indices: Any) -> Any:
        """ln p of grids `[N, rows, columns]`, `[N]` in nats."""
        logits = ops.log_softmax(self(indices), axis=-1)
        each = ops.take_along_axis(logits, indices[..., None], axis=-1)
        return ops.sum(each, axis=(1, 2, 3))

    def sample(self, num_samples: int, seed: Any) -> Any:
        """Grids `int32[num_samples, rows, columns]`, place by place."""
        rows, columns = self.grid_shape
        places = rows * columns

        def draw(place: Any, flat: Any) -> Any:
            grids = ops.reshape(flat, (num_samples, rows, columns))
            logits = ops.reshape(
                self(grids), (num_samples, places, self.num_values)
            )
            here = ops.take(logits, place, axis=1)
            value = categorical(here, 1, fold_in(seed, place))
            return ops.where(ops.arange(places) == place, value, flat)

        start = ops.zeros((num_samples, places), "int32")
        flat = ops.fori_loop(0, places, draw, start)
        return ops.reshape(flat, (num_samples, rows, columns))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape, self.num_values)


def _padded(maps: Any, top: int, bottom: int, left: int, right: int) -> Any:
    return ops.pad(maps, [[0, 0], [top, bottom], [left, right], [0, 0]])


def _gate(maps: Any) -> Any:
    values, gates = ops.split(maps, 2, axis=-1)
    return ops.tanh(values) * ops.sigmoid(gates)
