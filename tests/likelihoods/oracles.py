"""The formulas again, in NumPy and SciPy at float64."""

import numpy as np
from scipy import special
from scipy import stats


def soft_clip(values, low, high):
    """tfb.SoftClip with its default hinge of 1, from its definition."""

    def softplus(x):
        return np.logaddexp(0.0, x)

    shrink = (high - low) / softplus(high - low)
    return high - softplus(high - low - softplus(values - low)) * shrink


def logistic_scale(raw):
    return np.exp(soft_clip(raw + np.log(0.25), -7.0, 2.0))


def level_mass(levels, loc, scale):
    """P(k) of a logistic on [-1, 1]; levels 0..255; edge bins open."""
    x = levels / 127.5 - 1.0
    upper = np.where(levels == 255, np.inf, (x + 1 / 255 - loc) / scale)
    lower = np.where(levels == 0, -np.inf, (x - 1 / 255 - loc) / scale)
    # Above the median, the difference of 1 - F keeps the digits.
    return np.where(
        lower > 0,
        special.expit(-lower) - special.expit(-upper),
        special.expit(upper) - special.expit(lower),
    )


def mixture_log_mass(levels, raw, num_components):
    """log P of one RGB pixel, component by component."""
    raw = raw.reshape(10, num_components).T
    x = levels / 127.5 - 1.0
    terms = []
    log_weights = raw[:, 0] - special.logsumexp(raw[:, 0])
    for log_weight, component in zip(log_weights, raw, strict=True):
        red, green, blue = component[1:4]
        scales = logistic_scale(component[4:7])
        a, b, c = np.tanh(component[7:10])
        locs = (red, green + a * x[0], blue + b * x[0] + c * x[1])
        masses = [
            level_mass(k, loc, scale)
            for k, loc, scale in zip(levels, locs, scales, strict=True)
        ]
        terms.append(log_weight + np.sum(np.log(masses)))
    return special.logsumexp(terms)


def gaussian_mass(levels, loc, scale):
    """The mass of [k, k + 1) / 256 under a Gaussian on [0, 1]."""
    normal = stats.norm(loc, scale)
    return normal.cdf((levels + 1) / 256) - normal.cdf(levels / 256)
