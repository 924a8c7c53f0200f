"""A convolutional encoder that hands out its maps."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import check_sizes
from kgpm.layers.networks.blocks import build_chain
from kgpm.layers.networks.image_networks import check_image_shape
from kgpm.layers.networks.image_networks import scale_widths


class EncodedImages(NamedTuple):
    """What `SkipEncoder` makes of images.

    Attributes:
        features: `[..., feature_size]`.
        skips: maps `[..., H / 2, W / 2, width]` and `[..., H / 4, W / 4,
            width]`, sides rounded up, for a decoder.
    """

    features: Any
    skips: tuple[Any, Any]


@keras.saving.register_keras_serializable(package="kgpm")
class SkipEncoder(Configured, keras.layers.Layer):
    """Six convolutions of three strides, then a dense layer, with ReLUs.

    The maps after the second and the third scale are returned, not kept: a
    decoder that took "the last activations" would see another image's as soon
    as something else is encoded between.

    Args:
        image_shape: `(H, W, channels)`.
        feature_size: units of the dense layer.
        width: channels of the two finer and the two coarser scales, one
            number or a pair.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        images: `[..., H, W, channels]`.

    Returns:
        `EncodedImages`.

    Raises:
        UserError: sizes below 1, or sides below 4 pixels.

    Source: A. Zholus, `variational_memory_addressing`.
    """

    def __init__(
        self,
        image_shape: tuple,
        feature_size: int = 100,
        width: int | list | tuple = (48, 64),
        **kwargs: Any,
    ) -> None:
        self.image_shape = check_image_shape(image_shape)
        check_sizes(feature_size=feature_size)
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
            feature_size,
            activation="relu",
            dtype=self.dtype_policy,
            name="features",
        )

    def build(self, input_shape: tuple | None = None) -> None:
        shape = build_chain(self.convolutions, (None, *self.image_shape))
        self.dense.build((None, math.prod(shape[1:])))
        self.built = True

    def call(self, images: Any) -> EncodedImages:
        leading = ops.shape(images)[:-3]
        hidden = ops.reshape(images, (-1, *self.image_shape))
        maps = []
        for layer in self.convolutions:
            hidden = layer(hidden)
            maps.append(hidden)
        flat = ops.reshape(hidden, (-1, math.prod(hidden.shape[1:])))
        features, *skips = (
            ops.reshape(part, (*leading, *part.shape[1:]))
            for part in (self.dense(flat), maps[2], maps[4])
        )
        return EncodedImages(features, tuple(skips))
