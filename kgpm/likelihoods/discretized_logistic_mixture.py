"""8-bit images, a mixture of logistics a pixel."""

from typing import Any

import keras
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.errors import check_sizes
from kgpm.likelihoods import pixels
from kgpm.likelihoods.likelihood import Likelihood
from kgpm.likelihoods.probability import distributions
from kgpm.ops import split_seed


@keras.saving.register_keras_serializable(package="kgpm")
class DiscretizedLogisticMixture(Likelihood):
    """Mixture of logistics rounded to 256 levels, channels conditional.

    A pixel's channels share one component. Within component i, on [-1, 1],
    with x the observed channels and a, b, c = tanh of raw outputs:

        red   ~ Logistic(m_r)
        green ~ Logistic(m_g + a x_r)
        blue  ~ Logistic(m_b + b x_r + c x_g)

    each rounded to its level as in `DiscretizedLogistic`, so that this is a
    true probability of the 8-bit image. The parameters are, in this order, the
    logits of all components, their locations, channel by channel, their
    log-scales and, for 3 channels, their 3 coefficients: 3 numbers for each
    component for grey images and 10 for RGB; log-scales are softly kept in
    [-7, 2]. All-zero components are the same mid-grey logistic. Time and
    memory grow with `num_components` numbers for each pixel and channel.

    Reference: PixelCNN++, Salimans et al. 2017, arXiv:1701.05517, 2.1, 2.2.

    Args:
        num_components: logistics in each pixel's mixture.

    Raises:
        UserError: fewer than one component, or neither 1 nor 3 channels.
    """

    name = "discretized_logistic_mixture"

    def __init__(self, num_components: int = 10) -> None:
        check_sizes(num_components=num_components)
        self.num_components = num_components

    def num_parameters(self, channels: int) -> int:
        sizes = {1: 3, 3: 10}
        if channels not in sizes:
            raise UserError(
                "Expected 1 or 3 channels for the discretized_logistic_mixture"
                f" likelihood, received {channels}; choose another likelihood."
            )
        return sizes[channels] * self.num_components

    def log_prob(self, images: Any, parameters: Any, seed: Any = None) -> Any:
        del seed
        images, parameters = self._cast(images, parameters)
        logits, loc, scale, coefficients = self._split(parameters)
        # With an axis for the components.
        levels = pixels.to_levels(images)[..., tf.newaxis]
        if coefficients is not None:
            observed = levels / 127.5 - 1.0
            loc = _conditional_locations(loc, coefficients, observed)
        log_mass = pixels.logistic_log_mass(levels, loc, scale)
        # Of each component, its channels together.
        joint = tf.nn.log_softmax(logits) + tf.reduce_sum(log_mass, axis=-2)
        return tf.reduce_sum(tf.reduce_logsumexp(joint, -1), axis=[-2, -1])

    def mean(self, parameters: Any) -> Any:
        """The mean image.

        Exact to half a grey level for grey images and for red. The mean of
        green and blue is taken at the means of the channels before them,
        within each component: exact but for the cut to [0, 1].
        """
        logits, loc, scale, coefficients = self._split(
            self._cast_parameters(parameters)
        )
        means = _in_channel_order(
            loc, scale, coefficients, pixels.clipped_logistic_mean
        )
        weights = tf.nn.softmax(logits)[..., tf.newaxis, :]
        return (tf.reduce_sum(weights * means, axis=-1) + 1.0) / 2.0

    def sample(self, parameters: Any, seed: Any) -> Any:
        logits, loc, scale, coefficients = self._split(
            self._cast_parameters(parameters)
        )
        seeds = split_seed(seed, 4)
        component = (
            distributions().Categorical(logits=logits).sample(seed=seeds.pop())
        )
        chosen = tf.one_hot(component, self.num_components, dtype=loc.dtype)
        chosen = chosen[..., tf.newaxis, :]

        def choose(values: Any) -> Any:
            return tf.reduce_sum(chosen * values, axis=-1, keepdims=True)

        def draw(loc: Any, scale: Any) -> Any:
            levels = pixels.quantized_logistic(loc, scale)
            return levels.sample(seed=seeds.pop()) / 127.5 - 1.0

        if coefficients is not None:
            coefficients = choose(coefficients)
        draws = _in_channel_order(
            choose(loc), choose(scale), coefficients, draw
        )
        # Undo the rounding of the way to [-1, 1] and back.
        return pixels.to_levels((draws[..., 0] + 1.0) / 2.0) / 255.0

    def _split(self, parameters: Any) -> tuple:
        """Logits `[..., K]`; the rest `[..., C, K]`; no coefficients if C=1."""
        total = parameters.shape[-1]
        sizes = {self.num_parameters(channels): channels for channels in (1, 3)}
        if total not in sizes:
            raise UserError(
                f"Expected {' or '.join(map(str, sizes))} parameters a pixel "
                f"for {self.num_components} components and 1 or 3 channels, "
                f"received {total}."
            )
        channels = sizes[total]
        parts = [1, channels, channels] + [3] * (channels == 3)
        shape = [sum(parts), self.num_components]
        parameters = tf.reshape(
            parameters, tf.concat([tf.shape(parameters)[:-1], shape], axis=0)
        )
        logits, loc, scale, *rest = tf.split(parameters, parts, axis=-2)
        coefficients = tf.tanh(rest[0]) if rest else None
        loc, scale = pixels.logistic_parameters(loc, scale)
        return logits[..., 0, :], loc, scale, coefficients


def _conditional_locations(loc: Any, coefficients: Any, values: Any) -> Any:
    """Locations of red, green and blue given values of red and green."""
    red, green = values[..., 0:1, :], values[..., 1:2, :]
    a, b, c = tf.split(coefficients, 3, axis=-2)
    red_mean, green_mean, blue_mean = tf.split(loc, 3, axis=-2)
    return tf.concat(
        [red_mean, green_mean + a * red, blue_mean + b * red + c * green], -2
    )


def _in_channel_order(
    loc: Any, scale: Any, coefficients: Any, value: Any
) -> Any:
    """`value(loc, scale)` of each channel, given those before it."""
    values = tf.zeros_like(loc)
    for channel in range(loc.shape[-2]):
        given = loc
        if coefficients is not None:
            given = _conditional_locations(loc, coefficients, values)
        index = slice(channel, channel + 1)
        new = value(given[..., index, :], scale[..., index, :])
        values = tf.concat(
            [values[..., :channel, :], new, values[..., channel + 1 :, :]],
            axis=-2,
        )
    return values
