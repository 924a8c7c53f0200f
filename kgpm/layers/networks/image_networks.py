"""Encoders and decoders of images: their contract, and residual ones."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_sizes
from kgpm.layers.networks.blocks import Chain
from kgpm.layers.networks.blocks import ResidualBlock
from kgpm.layers.networks.blocks import TransposedConvolution
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.image_sizes import decoder_sizes
from kgpm.layers.networks.image_sizes import num_scales
from kgpm.layers.networks.image_sizes import scale_widths
from kgpm.layers.networks.image_sizes import transposed_kernel


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


def upsampling(
    filters: int, small: tuple, large: tuple, **kwargs: Any
) -> TransposedConvolution:
    """The layer that enlarges maps of `small` sides to `large` ones."""
    vertical, horizontal = map(transposed_kernel, small, large)
    kernels, crops = zip(vertical, horizontal, strict=True)
    return TransposedConvolution(filters, kernels, crops, **kwargs)


@keras.saving.register_keras_serializable(package="kgpm")
class ImageEncoder(Chain, Encoder):
    """Residual convolutional encoder of the GPM paper's code, any size.

    At each scale a 4x4 stride-2 convolution with two pixels of padding
    (28 - 15 - 8 - 5) and `num_blocks` residual blocks; then a linear layer.
    A larger image passes through more scales.

    Args:
        image_shape: `(H, W, channels)`.
        code_size: C, the length of a code.
        width: channels at every scale, or a list, finest scale first.
        num_blocks: residual blocks at each scale.
        normalization: `group` or `none`.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        Codes `[..., C]`, float32 under every dtype policy: the memory's algebra
        needs their precision.

    Raises:
        UserError: sizes or widths that make no network.
    """

    def __init__(
        self,
        image_shape: tuple,
        code_size: int,
        width: int | list = 16,
        num_blocks: int = 1,
        normalization: str = "group",
        **kwargs: Any,
    ) -> None:
        shape = check_image_shape(image_shape)
        check_sizes(code_size=code_size)
        super().__init__(**kwargs)
        self.element_shape = shape
        self.code_size = code_size
        policy = self.dtype_policy
        scales = num_scales(max(shape[:2]))
        chain: list[keras.layers.Layer] = []
        for i, channels in enumerate(scale_widths(width, scales)):
            chain += [
                keras.layers.ZeroPadding2D(2, dtype=policy),
                keras.layers.Conv2D(
                    channels,
                    4,
                    strides=2,
                    dtype=policy,
                    name=f"downsampling_{i}",
                ),
            ]
            chain += _blocks(i, num_blocks, channels, normalization, policy)
        self.chain = [
            *chain,
            keras.layers.Flatten(dtype=policy),
            keras.layers.Dense(code_size, dtype="float32", name="head"),
        ]


@keras.saving.register_keras_serializable(package="kgpm")
class ImageDecoder(Chain, Decoder):
    """Residual transposed-convolution decoder, the encoder's mirror.

    A linear layer makes the smallest map, then at each scale `num_blocks`
    residual blocks and a stride-2 transposed convolution
    (4 - 8 - 15 - 28). The last convolution gives the likelihood's parameters
    with nothing after it: normalising them would bound the logits.

    Args:
        image_shape: `(H, W, channels)`.
        code_size: length of a code.
        num_parameters: likelihood parameters a pixel.
        width: channels at every scale, or a list, finest scale first, as for
            `ImageEncoder`.
        num_blocks: residual blocks at each scale.
        normalization: `group` or `none`.
        **kwargs: of `keras.layers.Layer`.

    Returns:
        `[..., H, W, num_parameters]`, in the compute dtype.

    Raises:
        UserError: sizes or widths that make no network.
    """

    def __init__(
        self,
        image_shape: tuple,
        code_size: int,
        num_parameters: int,
        width: int | list = 16,
        num_blocks: int = 1,
        normalization: str = "group",
        **kwargs: Any,
    ) -> None:
        shape = check_image_shape(image_shape)
        check_sizes(code_size=code_size, num_parameters=num_parameters)
        super().__init__(**kwargs)
        self.element_shape = (code_size,)
        policy = self.dtype_policy
        scales = num_scales(max(shape[:2]))
        # From the smallest to that of the image.
        sides = (decoder_sizes(side, scales) for side in shape[:2])
        maps = list(zip(*sides, strict=True))
        channels = [*scale_widths(width, scales)[::-1], num_parameters]
        first = (*maps[0], channels[0])
        chain = [
            keras.layers.Dense(math.prod(first), dtype=policy, name="stem"),
            keras.layers.Reshape(first, dtype=policy),
        ]
        for i in range(scales):
            chain += _blocks(i, num_blocks, channels[i], normalization, policy)
            chain.append(
                upsampling(
                    channels[i + 1],
                    maps[i],
                    maps[i + 1],
                    dtype=policy,
                    name=f"upsampling_{i}",
                )
            )
        self.chain = chain


def _blocks(
    scale: int, count: int, channels: int, normalization: str, policy: Any
) -> list[ResidualBlock]:
    return [
        ResidualBlock(
            channels, normalization, dtype=policy, name=f"block_{scale}_{i}"
        )
        for i in range(count)
    ]
