"""A latent and the entry of a memory to the parameters of an image."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.networks.image_networks import Decoder
from kgpm.layers.networks.image_networks import upsampling
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.image_sizes import scale_widths

_HIDDEN = 256


@keras.saving.register_keras_serializable(package="kgpm")
class EntryDecoder(Decoder):
    """From a vector, and features and maps of another image, to an image.

    The counterpart of `AddressEncoder`: the features become a context beside
    the vector; two dense layers, then three upsamplings, each followed by a
    convolution, which after the first and the second also sees the entry's map
    of that size. ReLUs but at the end.

    Args:
        image_shape: `(H, W, channels)` of what is decoded to.
        latent_size: L, length of the vector.
        feature_size: F, of the entry's features.
        num_parameters: likelihood parameters a pixel.
        width: as that of the encoder whose maps it is given.
        context_size: numbers of the entry beside the vector.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        latents: `{"z": [..., L], "features": [..., F], "skips": maps}`, the
            last two of the entry picked, as `AddressEncoder` gives them.
        training: not used.

    Returns:
        `[..., H, W, num_parameters]`.

    Raises:
        UserError: sizes below 1, or sides below 4 pixels.

    Source: A. Zholus, `variational_memory_addressing`.
    """

    def __init__(
        self,
        image_shape: tuple,
        latent_size: int,
        feature_size: int,
        num_parameters: int,
        width: int | list | tuple = (48, 64),
        context_size: int = 64,
        **kwargs: Any,
    ) -> None:
        self.image_shape = check_image_shape(image_shape)
        check_sizes(
            latent_size=latent_size,
            feature_size=feature_size,
            num_parameters=num_parameters,
            context_size=context_size,
        )
        fine, coarse = scale_widths(width, 2)
        super().__init__(**kwargs)
        self.latent_size = latent_size
        self.feature_size = feature_size
        policy = self.dtype_policy
        self.to_context = keras.layers.Dense(
            context_size, dtype=policy, name="to_context"
        )
        sides = [_halvings(side) for side in self.image_shape[:2]]
        # The last upsampling stops one pixel short of an even side, which a
        # kernel of two without padding then gives.
        odd = [[*each[1:][::-1], each[0] - 1 + each[0] % 2] for each in sides]
        self.maps = [tuple(each) for each in zip(*odd, strict=True)]
        self.dense = [
            keras.layers.Dense(
                units, activation="relu", dtype=policy, name=f"dense_{i}"
            )
            for i, units in enumerate(
                (_HIDDEN, self.maps[0][0] * self.maps[0][1] * coarse)
            )
        ]
        # Of each scale: what it upsamples to, what its map has, what follows.
        self.channels = [
            (coarse, coarse, coarse),
            (coarse, fine, fine),
            (fine, 0, fine),
        ]
        self.upsamplings, self.convolutions = [], []
        for i, (filters, _, after) in enumerate(self.channels):
            self.upsamplings.append(
                upsampling(
                    filters,
                    self.maps[i],
                    self.maps[i + 1],
                    dtype=policy,
                    name=f"upsampling_{i}",
                )
            )
            self.convolutions.append(
                keras.layers.Conv2D(
                    after,
                    3,
                    padding="same",
                    activation="relu",
                    dtype=policy,
                    name=f"convolution_{i}",
                )
            )
        # A transposed convolution of stride 1 is one of padded inputs.
        self.missing = [1 - side % 2 for side in self.image_shape[:2]]
        self.output_layer = keras.layers.Conv2D(
            num_parameters,
            [1 + pixel for pixel in self.missing],
            dtype=policy,
            name="output",
        )

    def build(self, input_shape: Any = None) -> None:
        self.to_context.build((None, self.feature_size))
        self.dense[0].build((None, self.latent_size + self.to_context.units))
        self.dense[1].build((None, _HIDDEN))
        before = self.channels[0][0]
        for i, (filters, extra, after) in enumerate(self.channels):
            self.upsamplings[i].build((None, *self.maps[i], before))
            self.convolutions[i].build(
                (None, *self.maps[i + 1], filters + extra)
            )
            before = after
        self.output_layer.build((None, *self.maps[-1], before))
        self.built = True

    def call(
        self, latents: dict[str, Any], training: bool | None = None
    ) -> Any:
        context = self.to_context(ops.relu(latents["features"]))
        z = ops.cast(latents["z"], context.dtype)
        codes = ops.concatenate([z, context], axis=-1)
        *leading, size = ops.shape(codes)
        hidden = ops.reshape(codes, (-1, size))
        for layer in self.dense:
            hidden = layer(hidden)
        hidden = ops.reshape(hidden, (-1, *self.maps[0], self.channels[0][0]))
        skips = [ops.reshape(s, (-1, *s.shape[-3:])) for s in latents["skips"]]
        # The coarser map comes first here.
        for i, skip in enumerate([*skips[::-1], None]):
            hidden = ops.relu(self.upsamplings[i](hidden))
            if skip is not None:
                hidden = ops.concatenate([hidden, skip], axis=-1)
            hidden = self.convolutions[i](hidden)
        rows, columns = self.missing
        padding = [(0, 0), (rows, rows), (columns, columns), (0, 0)]
        hidden = self.output_layer(ops.pad(hidden, padding))
        return ops.reshape(hidden, (*leading, *hidden.shape[1:]))


def _halvings(side: int) -> list[int]:
    """A side and those after each of three strides of two, finest first."""
    sides = [side]
    for _ in range(3):
        sides.append((sides[-1] + 1) // 2)
    return sides
