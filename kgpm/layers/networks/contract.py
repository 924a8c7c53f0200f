"""Encoder and decoder: what a model asks of its networks."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_sizes


class Encoder(Configured, keras.layers.Layer):
    """Images `[..., H, W, C]` to codes `[..., *code]`, or a nest of such.

    A subclass implements `encode`, which is given images with one leading
    axis; or `call`, where a code depends on more than its own image.

    Call arguments:
        images: `[..., H, W, C]` in [0, 1]; `[B, T, H, W, C]` in a model.
        weights: `[B, T]`, 0 for an absent image, which no other may see.
        training: whether the network is trained.
    """

    # Whether a code depends on the other images of its episode.
    mixes_images = False

    def call(
        self, images: Any, weights: Any = None, training: bool | None = None
    ) -> Any:
        del weights
        return each(lambda flat: self.encode(flat, training), images, 3)

    def encode(self, images: Any, training: bool | None) -> Any:
        """Codes `[N, *code]` of images `[N, H, W, C]`, each on its own."""
        raise NotImplementedError


class Decoder(Configured, keras.layers.Layer):
    """Latents `[..., *latent]` to likelihood parameters `[..., H, W, P]`.

    A subclass implements `decode`, which is given latents with one leading
    axis; or `call`, where a latent is a nest.

    Call arguments:
        latents: `[..., *latent]`; `[B, T, *latent]` in a model.
        training: whether the network is trained.
    """

    # Axes of one latent: 1 for a vector, 3 for a grid of vectors.
    latent_rank = 1

    def call(self, latents: Any, training: bool | None = None) -> Any:
        return each(
            lambda flat: self.decode(flat, training), latents, self.latent_rank
        )

    def decode(self, latents: Any, training: bool | None) -> Any:
        """Parameters `[N, H, W, P]` of latents `[N, *latent]`."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="kgpm")
class PerImage(Encoder, Decoder):
    """Any Keras layer or model of `[N, ...]` as an encoder or a decoder.

    Args:
        layer: maps `[N, *element]` to `[N, *result]`, such as a
            `keras.Sequential`.
        rank: axes of one element: 3 for images, 1 for vectors.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        values: `[..., *element]`.
        weights: not used: each element is mapped on its own.
        training: handed on.

    Returns:
        `[..., *result]`, in the dtype that the layer gives.

    Raises:
        UserError: a rank below 1.

    Example:
        >>> flatten, dense = keras.layers.Flatten(), keras.layers.Dense(100)
        >>> encoder = PerImage(keras.Sequential([flatten, dense]))
        >>> encoder(np.zeros((8, 32, 28, 28, 1))).shape
        TensorShape([8, 32, 100])
    """

    def __init__(self, layer: Any, rank: int = 3, **kwargs: Any) -> None:
        check_sizes(rank=rank)
        super().__init__(**kwargs)
        # The layer has a dtype policy of its own.
        self.autocast = False
        self.layer = layer
        self.rank = rank

    def build(self, input_shape: tuple) -> None:
        if not self.layer.built:
            self.layer.build((None, *input_shape[-self.rank :]))
        self.built = True

    def call(  # type: ignore[override]  # By name, `training` fits both.
        self, values: Any, weights: Any = None, training: bool | None = None
    ) -> Any:
        del weights
        return each(
            lambda flat: self.layer(flat, training=training), values, self.rank
        )


def as_encoder(layer: Any) -> Encoder:
    """An encoder as it is, any other layer as one of single images.

    Raises:
        UserError: no Keras layer.
    """
    return _as(Encoder, layer, 3, "encoder")


def as_decoder(layer: Any) -> Decoder:
    """A decoder as it is, any other layer as one of vectors.

    Raises:
        UserError: no Keras layer.
    """
    return _as(Decoder, layer, 1, "decoder")


def _as(kind: type, layer: Any, rank: int, name: str) -> Any:
    if isinstance(layer, kind):
        return layer
    if not isinstance(layer, keras.layers.Layer):
        raise UserError(
            f"Expected {name} to be a Keras layer, received {layer!r}."
        )
    return PerImage(layer, rank, name=name)


def each(function: Callable[[Any], Any], values: Any, rank: int) -> Any:
    """A function of `[N, *element]` on values with any leading axes.

    Args:
        function: of one tensor, to a tensor `[N, *result]` or a nest of such.
        values: `[..., *element]`.
        rank: axes of one element.

    Returns:
        `[..., *result]`, or a nest of such.
    """
    shape = ops.shape(values)
    flat = ops.reshape(values, (-1, *shape[-rank:]))
    return keras.tree.map_structure(
        lambda result: ops.reshape(result, (*shape[:-rank], *result.shape[1:])),
        function(flat),
    )
