"""What encoders and decoders are made of."""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.ops import transposed_convolution
from kgpm.ops import written_for_cpu

NORMALIZATIONS = ("group", "none")


def build_chain(layers: Iterable[Any], input_shape: tuple) -> tuple:
    """Builds layers that follow one another, to the shape that comes out."""
    shape = input_shape
    for layer in layers:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def call_chain(layers: Iterable[Any], inputs: Any) -> Any:
    """Calls layers one after the other."""
    for layer in layers:
        inputs = layer(inputs)
    return inputs


class Chain:
    """A mixin: an encoder or a decoder whose layers follow one another.

    The constructor puts them into `chain`, and the shape of one image or
    latent into `element_shape`.
    """

    chain: list[Any]
    element_shape: tuple

    def build(self, input_shape: tuple | None = None) -> None:
        """Builds the layers, whatever the leading axes of the input."""
        build_chain(self.chain, (None, *self.element_shape))
        self.built = True

    def encode(self, values: Any, training: bool | None) -> Any:
        """Calls the layers on values with one leading axis."""
        return call_chain(self.chain, values)

    decode = encode


@keras.saving.register_keras_serializable(package="kgpm")
class GroupNormalization(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization` of maps, faster on a CPU.

    Keras reduces a five-dimensional view over split axes and lets the
    gradient expand every mean again; on a CPU that takes as long as the
    convolutions between. There (`kgpm.ops.choose_kernels`) sums run over the
    pixels of each channel, groups are joined on `[N, C]`, and the gradient is
    written out: with xhat the normalised input, mean_g the mean over a group
    and `g = gamma dy`, `dx = (g - mean_g(g) - xhat mean_g(g xhat)) / sigma`,
    which is linear in dy and x with coefficients for each image and channel.

    Args:
        groups: number of groups, a divisor of the channels.
        epsilon: added to the variance.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]`.

    Returns:
        `[N, H, W, C]`, computed in float32 at least, in the compute dtype.

    Raises:
        UserError: groups that do not divide the channels.

    Source: Wu and He, "Group Normalization", 2018.
    """

    def __init__(
        self, groups: int = 8, epsilon: float = 1e-3, **kwargs: Any
    ) -> None:
        super().__init__(groups, epsilon=epsilon, **kwargs)
        # Inputs arrive as they are: the sums need float32.
        self.autocast = False

    def build(self, input_shape: tuple) -> None:
        channels = input_shape[-1]
        if channels % self.groups:
            raise UserError(
                "Expected a number of channels divisible by "
                f"groups={self.groups}, received {channels} channels."
            )
        # Without their own `autocast` Keras would still round the variables
        # of a layer that no other layer calls.
        self.gamma = self.add_weight(
            shape=(channels,),
            initializer="ones",
            autocast=False,
            name="gamma",
        )
        self.beta = self.add_weight(
            shape=(channels,),
            initializer="zeros",
            autocast=False,
            name="beta",
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        if not written_for_cpu():
            return super().call(inputs)
        # Products are tensors: a function with its own gradient takes no
        # variables.
        outputs = _normalize(self.groups, self.epsilon)(
            ops.convert_to_tensor(inputs), self.gamma * 1.0, self.beta * 1.0
        )
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict:
        return {
            **keras.layers.Layer.get_config(self),
            "groups": self.groups,
            "epsilon": self.epsilon,
        }


def _normalize(groups: int, epsilon: float) -> Any:
    """The function of input, gamma and beta with its own gradient."""

    @ops.custom_gradient
    def normalize(inputs: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
        height, width, channels = inputs.shape[1:]
        size = channels // groups
        joined = np.kron(np.eye(groups), np.ones((size, size)))
        joined = ops.convert_to_tensor(
            joined / (size * height * width), gamma.dtype
        )

        def pixel_sums(rows: Any) -> Any:
            pixels = ops.reshape(rows, (-1, height * width, channels))
            return ops.sum(pixels, axis=1)

        def group_mean(sums: Any) -> Any:
            return ops.matmul(sums, joined)

        def spread(values: Any) -> Any:
            # Over whole rows of pixels: broadcasting along a few channels
            # alone takes half as long again.
            return ops.tile(values, (1, width))[:, None, :]

        shape = (-1, height, width * channels)
        # Half precision cannot hold a sum over a map's pixels.
        wide = ops.reshape(ops.cast(inputs, gamma.dtype), shape)
        mean = group_mean(pixel_sums(wide))
        square = group_mean(pixel_sums(ops.square(wide)))
        variance = ops.maximum(square - ops.square(mean), 0.0)
        scale = ops.rsqrt(variance + epsilon)
        slope = gamma * scale
        outputs = wide * spread(slope) + spread(beta - mean * slope)

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            upstream = ops.reshape(ops.cast(upstream, gamma.dtype), shape)
            total = pixel_sums(upstream)
            product = pixel_sums(upstream * wide)
            # Sums of dy * xhat, with xhat = (x - mean) * scale.
            aligned = (product - mean * total) * scale
            first = group_mean(gamma * total)
            second = group_mean(gamma * aligned)
            by_x = -scale * scale * second
            constant = -scale * first - by_x * mean
            inputs_gradient = (
                upstream * spread(slope) + wide * spread(by_x)
            ) + spread(constant)
            return (
                ops.reshape(
                    ops.cast(inputs_gradient, inputs.dtype),
                    ops.shape(inputs),
                ),
                ops.sum(aligned, axis=0),
                ops.sum(total, axis=0),
            )

        return ops.reshape(outputs, ops.shape(inputs)), gradient

    return normalize


@keras.saving.register_keras_serializable(package="kgpm")
class ResidualBlock(Configured, keras.layers.Layer):
    """Two 3x3 convolutions added to their input, as in the GPM networks.

    conv - normalise - ReLU - conv - normalise, plus the identity, with no
    activation after the sum: an image decoder's values pass through
    unclipped.

    Args:
        width: number of channels, of the input too.
        normalization: `group` (at most 8 groups, each image on its own, so
            that a decoder that runs on two kinds of codes keeps no mixed
            running statistics) or `none`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, width]`.

    Returns:
        `[N, H, W, width]`.

    Raises:
        UserError: an unknown normalisation.
    """

    def __init__(
        self, width: int, normalization: str = "group", **kwargs: Any
    ) -> None:
        check_choice("normalization", normalization, NORMALIZATIONS)
        super().__init__(**kwargs)
        policy = self.dtype_policy
        chain: list[keras.layers.Layer] = []
        for i in range(2):
            if i == 1:
                chain.append(keras.layers.ReLU(dtype=policy))
            chain.append(
                keras.layers.Conv2D(
                    width,
                    3,
                    padding="same",
                    use_bias=normalization == "none",
                    dtype=policy,
                    name=f"convolution_{i}",
                )
            )
            if normalization == "group":
                chain.append(
                    GroupNormalization(
                        math.gcd(8, width), dtype=policy, name=f"norm_{i}"
                    )
                )
        self.chain = chain

    def build(self, input_shape: tuple) -> None:
        build_chain(self.chain, input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs + call_chain(self.chain, inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


@keras.saving.register_keras_serializable(package="kgpm")
class TransposedConvolution(Configured, keras.layers.Layer):
    """`Conv2DTranspose` with stride 2 and cropping, faster on a CPU.

    There (`kgpm.ops.choose_kernels`) it runs as a sub-pixel convolution, see
    `kgpm.ops.transposed_convolution`: for one output channel five times as
    fast as the gradient of a convolution that `Conv2DTranspose` is.

    Args:
        filters: output channels.
        kernel_size: 3 or 4 for each of height and width.
        crop: pixels taken off each side, 0 to 2, of height and width.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]` with known H and W.

    Returns:
        `[N, 2 (H - 1) + kernel - 2 crop, ..., filters]`.

    Raises:
        UserError: other kernel sizes or crops.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: tuple[int, int],
        crop: tuple[int, int],
        **kwargs: Any,
    ) -> None:
        if not set(kernel_size) <= {3, 4} or not set(crop) <= {0, 1, 2}:
            raise UserError(
                "Expected kernel sizes of 3 or 4 and crops of 0 to 2, "
                f"received kernel_size={kernel_size} and crop={crop}."
            )
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.crop = (crop[0], crop[1])

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, self.filters, input_shape[-1]),
            initializer="glorot_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="bias"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        if written_for_cpu():
            outputs = transposed_convolution(inputs, self.kernel, self.crop)
        else:
            _, height, width, _ = self.compute_output_shape(inputs.shape)
            top, left = self.crop
            outputs = ops.conv_transpose(inputs, self.kernel, 2, "valid")
            outputs = outputs[:, top : top + height, left : left + width]
        return outputs + self.bias

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        height, width = (
            2 * (side - 1) + kernel - 2 * crop
            for side, kernel, crop in zip(
                input_shape[1:3], self.kernel_size, self.crop, strict=True
            )
        )
        return (input_shape[0], height, width, self.filters)
