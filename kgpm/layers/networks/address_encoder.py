"""Images to the entries of a memory of images."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.networks.contract import Encoder
from kgpm.layers.networks.image_networks import check_image_shape
from kgpm.layers.networks.skip_encoder import SkipEncoder


@keras.saving.register_keras_serializable(package="kgpm")
class AddressEncoder(Encoder):
    """What VMA knows of an image: itself, features, address and maps.

    Args:
        image_shape: `(H, W, C)`.
        width: channels, see `SkipEncoder`.
        feature_size: F, length of what posterior, prior and decoder see.
        address_size: A, length of what images are compared by.
        hidden_size: units of the layer before features and addresses.
        share_encoder: whether both come from one network.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        `{"images": [..., H, W, C], "features": [..., F], "addresses":
        [..., A], "skips": maps}`: float32 under every dtype policy, but for
        the maps, which are `EncodedImages.skips`.

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
            SkipEncoder(
                self.image_shape,
                hidden_size,
                width,
                dtype=self.dtype_policy,
                name=name,
            )
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
            encoder.build()
        for dense in (self.to_features, self.to_addresses):
            dense.build((None, self.encoders[0].dense.units))
        self.built = True

    def encode(self, images: Any, training: bool | None) -> dict[str, Any]:
        encoded = [encoder(images) for encoder in self.encoders]
        return {
            "images": ops.cast(images, "float32"),
            "features": self.to_features(encoded[0].features),
            "addresses": self.to_addresses(encoded[-1].features),
            "skips": encoded[0].skips,
        }
