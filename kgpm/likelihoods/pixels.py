"""Grey levels, scales and logistic masses that the likelihoods share.

Logistic locations and scales live on [-1, 1], where black is -1 and white 1,
as in PixelCNN++ (Salimans et al. 2017, arXiv:1701.05517): a level is 2 / 255
wide, and raw outputs near zero are mid-grey.
"""

import math
from typing import Any

import tensorflow as tf

from kgpm.likelihoods.probability import distributions
from kgpm.likelihoods.probability import probability

# exp(-7) is 0.12 grey levels: 97% of the mass is then in one level, and less
# would only make gradients explode.
LOGISTIC_LOG_SCALE_FLOOR = -7.0
# A raw scale of zero: standard deviation 0.45, about a quarter of the range.
LOGISTIC_INITIAL_LOG_SCALE = math.log(0.25)
# exp(2) is over three times the range. Wider logistics put all their mass on
# black and white, and a level's mass drowns in float32 rounding.
LOG_SCALE_CEILING = 2.0
# Far outside [-1, 1], and near enough for neighbouring levels to differ.
_LOCATION_LIMIT = 100.0
# Beyond every location by more scales than exp can tell from zero.
_FAR = 1e4


def to_levels(images: Any) -> Any:
    """Images in [0, 1] to the nearest of the levels 0, 1, ..., 255."""
    # Rounding, since k / 255 * 255 may come out just under k.
    return tf.clip_by_value(tf.round(images * 255.0), 0.0, 255.0)


def bounded_log_scale(raw: Any, initial: float, floor: float) -> Any:
    """A log-scale that is about `initial` where the raw output is zero.

    Softly clipped to [`floor`, 2]: hard clipping would stop the gradient, and
    a pixel once at the floor would stay there.
    """
    soft_clip = probability().bijectors.SoftClip(
        low=tf.constant(floor, raw.dtype),
        high=tf.constant(LOG_SCALE_CEILING, raw.dtype),
    )
    return soft_clip.forward(raw + initial)


def logistic_parameters(raw_loc: Any, raw_scale: Any) -> tuple[Any, Any]:
    """Location and scale on [-1, 1] from a decoder's raw output."""
    log_scale = bounded_log_scale(
        raw_scale, LOGISTIC_INITIAL_LOG_SCALE, LOGISTIC_LOG_SCALE_FLOOR
    )
    return limit_location(raw_loc), tf.exp(log_scale)


def limit_location(loc: Any) -> Any:
    """Keeps a location finite but lets its gradient through."""
    return probability().math.clip_by_value_preserve_gradient(
        loc, -_LOCATION_LIMIT, _LOCATION_LIMIT
    )


def quantized_logistic(loc: Any, scale: Any) -> Any:
    """Logistic on [-1, 1] rounded to the levels 0, ..., 255, edges open.

    P(k) = F(k + 1/2) - F(k - 1/2) in units of levels; all that is below 1/2
    counts as 0, and all above 254.5 as 255.
    """
    # QuantizedDistribution rounds up; shifting by half a level makes that
    # round to nearest.
    tfd = distributions()
    logistic = tfd.Logistic(loc=(loc + 1.0) * 127.5 - 0.5, scale=scale * 127.5)
    return tfd.QuantizedDistribution(logistic, low=0.0, high=255.0)


def logistic_log_mass(levels: Any, loc: Any, scale: Any) -> Any:
    """`quantized_logistic(loc, scale).log_prob(levels)`, a third of its work.

    With F the logistic function and b - a = 1 / s the width of a level,

        F(b) - F(a) = F(b) F(-a) (1 - exp(-1 / s))

    which has no difference of nearly equal numbers, needs no case for tails,
    and splits into logarithms. The levels at the edges are open on one side.

    Args:
        levels: from 0 to 255, broadcasts with the others.
        loc: on [-1, 1].
        scale: on [-1, 1], positive.

    Returns:
        Nats.
    """
    # The images are the smaller tensor: what concerns them alone is done to
    # them, and an edge far away makes its term zero without a mask.
    lower = tf.where(levels > 0.0, (levels - 0.5) / 127.5 - 1.0, -_FAR)
    upper = tf.where(levels < 255.0, (levels + 0.5) / 127.5 - 1.0, _FAR)
    inside = tf.logical_and(levels > 0.0, levels < 255.0)
    width = tf.math.log(-tf.math.expm1(-1.0 / 127.5 / scale))
    logistic = distributions().Logistic(loc, scale)
    return (
        tf.cast(inside, width.dtype) * width
        + logistic.log_cdf(upper)
        + logistic.log_survival_function(lower)
    )


def clipped_logistic_mean(loc: Any, scale: Any) -> Any:
    """The mean of a logistic variable cut to [-1, 1].

    Rounding to a level moves it by at most half a level, so that the mean of
    `quantized_logistic` is within 1 / 255 of this.

    E[clip(X)] = 1 - integral of F over [-1, 1]
               = 1 - s softplus((1 - m) / s) + s softplus((-1 - m) / s)
    """
    upper = tf.math.softplus((1.0 - loc) / scale)
    lower = tf.math.softplus((-1.0 - loc) / scale)
    mean = 1.0 - scale * (upper - lower)
    # The two terms are huge where loc is far out: cut off the rounding.
    return tf.clip_by_value(mean, -1.0, 1.0)
