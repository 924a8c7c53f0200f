"""Normalisation and activation in one."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError


@keras.saving.register_keras_serializable(package="kgpm")
class EvoNormS0(Configured, keras.layers.Layer):
    """`x sigmoid(v x) / sqrt(var_group(x) + epsilon) gamma + beta`.

    The nonlinearity is part of it: no activation belongs after it. Variances
    are over the pixels and channels of a group, of each image on its own.

    Args:
        groups: number of groups, a divisor of the channels. By default 32
            for more than 32 channels in multiples of 32, else half as many
            as channels (one for an odd number).
        epsilon: added to the variance.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]`.

    Returns:
        `[N, H, W, C]`.

    Raises:
        UserError: groups that do not divide the channels, or groups of one
            value, which have no variance.

    Source: Liu et al., "Evolving Normalization-Activation Layers", 2020.
    """

    def __init__(
        self, groups: int | None = None, epsilon: float = 1e-5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon

    def build(self, input_shape: tuple) -> None:
        height, width, channels = input_shape[1:]
        self.group_count = self.groups or _default_groups(channels)
        if channels % self.group_count:
            raise UserError(
                "Expected a number of channels divisible by "
                f"groups={self.group_count}, received {channels} channels."
            )
        if height * width * channels == self.group_count:
            raise UserError(
                "Expected groups of more than one value, received maps of "
                f"{height} x {width} pixels with {channels} channels in "
                f"{self.group_count} groups."
            )
        for name, initial in (("gamma", "ones"), ("beta", "zeros")):
            weight = self.add_weight(
                shape=(channels,), initializer=initial, name=name
            )
            setattr(self, name, weight)
        self.gate = self.add_weight(
            shape=(channels,), initializer="ones", name="gate"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        height, width, channels = inputs.shape[1:]
        size = channels // self.group_count
        # Half precision cannot hold a sum over a map's pixels.
        wide = ops.cast(inputs, "float32") if _is_half(inputs) else inputs
        pixels = ops.reshape(wide, (-1, height * width, channels))
        # Pixels first, then the channels of a group: few passes over the map.
        mean = _join(ops.mean(pixels, axis=1), size)
        centred = pixels - ops.repeat(mean, size, axis=-1)[:, None]
        variance = _join(ops.mean(ops.square(centred), axis=1), size)
        scale = ops.repeat(ops.rsqrt(variance + self.epsilon), size, axis=-1)
        scale = ops.cast(scale, inputs.dtype) * self.gamma
        gated = inputs * ops.sigmoid(self.gate * inputs)
        return gated * scale[:, None, None] + self.beta

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


def _default_groups(channels: int) -> int:
    if channels > 32 and channels % 32 == 0:
        return 32
    return channels // 2 if channels % 2 == 0 else 1


def _join(values: Any, size: int) -> Any:
    """Means over groups of `size` channels: `[N, C]` to `[N, C / size]`."""
    groups = values.shape[-1] // size
    return ops.mean(ops.reshape(values, (-1, groups, size)), axis=-1)


def _is_half(values: Any) -> bool:
    return keras.backend.standardize_dtype(values.dtype) in (
        "bfloat16",
        "float16",
    )
