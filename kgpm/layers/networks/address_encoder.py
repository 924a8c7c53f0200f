"""Images to the entries of a memory of images."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.networks.blocks import build_chain
from kgpm.layers.networks.image_networks import Encoder
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.image_sizes import scale_widths


@keras.saving.register_keras_serializable(package="kgpm")
class AddressEncoder(Encoder):
    """What VMA knows of an image: itself, features, address and maps.

    Args:
        image_shape: `(H, W, C)`.
        width: channels of the two finer and the two coarser scales, one
            number or a pair.
        feature_size: F, length of what posterior, prior and decoder see.
        address_size: A, length of what images are compared by.
        hidden_size: units of the layer before features and addresses.
        share_encoder: whether both come from one network.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        `{"images": [..., H, W, C], "features": [..., F], "addresses":
        [..., A], "skips": maps}`, float32 under every dtype policy but for
        the maps: `[..., H / 2, W / 2, width]` and `[..., H / 4, W / 4,
        width]`, sides rounded up, for a decoder.

    Raises:
        UserError: sizes below 1, or sides below 4 pixels.

    Source: Bornschein et al., "Variational Memory Addressing in Generative
    Models", NeurIPS 2017; networks of A. Zholus's implementation.
    """

    def __init__(
        self,
        image_shape: tuple,
        width: int | list | tuple = (48, 64),
        feature_size: int = 128,
        address_size: int = 200,
        hidden_size: int = 100,
        share_encoder: bool = False,
        **kwargs: Any,
    ) -> None:
        self.image_shape = check_image_shape(image_shape)
        check_sizes(
            feature_size=feature_size,
            address_size=address_size,
            hidden_size=hidden_size,
        )
        super().__init__(**kwargs)
        # Images are handed on as they are.
        self.autocast = False
        self.feature_size = feature_size
        self.encoders = [
            _SkipEncoder(hidden_size, width, dtype=self.dtype_policy, name=name)
            for name in ("encoder", "address_encoder")[: 2 - share_encoder]
        ]
        # Divergences need more than half precision.
        self.to_features, self.to_addresses = (
            keras.layers.Dense(size, dtype="float32", name=name)
            for name, size in (
                ("to_features", feature_size),
                ("to_addresses", address_size),
            )
        )

    def build(self, input_shape: tuple | None = None) -> None:
        for encoder in self.encoders:
            encoder.build((None, *self.image_shape))
        for dense in (self.to_features, self.to_addresses):
            dense.build((None, self.encoders[0].dense.units))
        self.built = True

    def encode(self, images: Any, training: bool | None) -> dict[str, Any]:
        own, *other = (encoder(images) for encoder in self.encoders)
        address = other[0] if other else own
        return {
            "images": ops.cast(images, "float32"),
            "features": self.to_features(own["features"]),
            "addresses": self.to_addresses(address["features"]),
            "skips": own["skips"],
        }


class _SkipEncoder(keras.layers.Layer):
    """Six convolutions of three strides, then a dense layer, with ReLUs.

    The maps after the second and the third scale are returned, not kept: a
    decoder that took "the last activations" would see another image's as soon
    as something else is encoded between.
    """

    def __init__(self, units: int, width: Any, **kwargs: Any) -> None:
        fine, coarse = scale_widths(width, 2)
        super().__init__(**kwargs)
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                3,
                strides=stride,
                padding="same",
                activation="relu",
                dtype=self.dtype_policy,
                name=f"convolution_{i}",
            )
            for i, (filters, stride) in enumerate(
                [
                    (fine, 1),
                    (fine, 2),
                    (fine, 1),
                    (coarse, 2),
                    (coarse, 1),
                    (coarse, 2),
                ]
            )
        ]
        self.dense = keras.layers.Dense(
            units, activation="relu", dtype=self.dtype_policy, name="features"
        )

    def build(self, input_shape: tuple) -> None:
        shape = build_chain(self.convolutions, input_shape)
        self.dense.build((None, math.prod(shape[1:])))
        self.built = True

    def call(self, images: Any) -> dict[str, Any]:
        maps = [images]
        for layer in self.convolutions:
            maps.append(layer(maps[-1]))
        flat = ops.reshape(maps[-1], (-1, math.prod(maps[-1].shape[1:])))
        return {"features": self.dense(flat), "skips": (maps[3], maps[5])}
