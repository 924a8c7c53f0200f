"""Tighter bounds on the likelihood of images, by importance weights."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kgpm.errors import check_count
from kgpm.evaluation.held_out import leave_each_out
from kgpm.layers import Draw
from kgpm.models import LatentModel
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed

# -inf would be the empty sum, but its gradient is not a number.
_EMPTY = -1e30
# What a pass of the decoder over several samples may hold, at so many float32
# numbers a pixel as a decoder of the usual width has at one time.
_BYTES_AT_ONCE = 2**28
_NUMBERS_OF_A_PIXEL = 64


def importance_weighted_bounds(
    model: LatentModel,
    images: Any,
    memory: Any = None,
    num_importance_samples: int = 1000,
    seed: Any = 0,
    weights: Any = None,
) -> dict[str, Any]:
    """Importance-weighted bounds on -log p(x | memory).

    `-ln 1/S sum_s p(x, h_s | M) / q(h_s | x, M)`: tighter than `bound_terms`,
    never to be compared with it. As many samples at a time pass through the
    decoder as 256 MB hold, so memory does not grow with their number. How
    many that are does not change a draw: each sample has a seed of its own.

    A memory with a density is drawn once for all samples: the result bounds
    `-log p(x | M)` for that draw, as `bound_terms` does for its own, and not
    the logarithm of an average over memories.

    Args:
        model: that scores.
        images: `[B, T, H, W, C]`.
        memory: as `write` returns it; by default that of `images`, those of
            weight 0 left out, which makes the result conditional on a memory
            that has seen the image.
        num_importance_samples: S, at least 1.
        seed: of all noise.
        weights: `[B, T]`, 0 for an absent image; see `LatentModel.encode`.

    Returns:
        `{"nelbo_iw": [B, T]}` in nats, and `"nelbo_stratified"` where the
        addresses of the memory can be summed over.

    Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016.
    """
    write_seed, draw_seed, seed = split_seed(make_seed(seed), 3)
    codes = model.encode(images, weights)
    if memory is None and model.memory.stores:
        memory = model.memory.write(codes, weights, write_seed)
    return bounds_of_codes(
        model, images, codes, memory, num_importance_samples, draw_seed, seed
    )


def held_out_bounds(
    model: LatentModel,
    images: Any,
    weights: Any = None,
    num_importance_samples: int = 1000,
    seed: Any = 0,
) -> dict[str, Any]:
    """`importance_weighted_bounds` as `held_out_terms` scores."""

    def score(image: Any, code: Any, memory: Any, seed: Any) -> dict:
        draw_seed, seed = split_seed(make_seed(seed), 2)
        return bounds_of_codes(
            model, image, code, memory, num_importance_samples, draw_seed, seed
        )

    codes = model.encode(images, weights)
    return leave_each_out(model, images, codes, weights, seed, score)


def bounds_of_codes(
    model: LatentModel,
    images: Any,
    codes: Any,
    memory: Any,
    num_samples: int,
    draw_seed: Any,
    seed: Any,
    advance: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """`importance_weighted_bounds` of images whose codes are at hand.

    Args:
        model: that scores.
        images: `[B, Q, H, W, C]`.
        codes: of the images.
        memory: to read them from.
        num_samples: S, at least 1.
        draw_seed: of the point drawn from a memory that has a density.
        seed: of the samples.
        advance: told how many images were decoded, after each pass.

    Returns:
        As `importance_weighted_bounds`, `[B, Q]`.
    """
    check_count("num_importance_samples", num_samples)
    memory = model.memory.recall(model.memory.draw(memory, draw_seed))

    def log_sum(draw: Callable[..., Draw], number: int) -> Any:
        return _log_sum(model, images, draw, number, make_seed(seed), advance)

    def draw_all(index: Any, seed: Any) -> Draw:
        return model.sample_latents(codes, memory, seed)

    value = log_sum(draw_all, num_samples) - math.log(num_samples)
    bounds = {"nelbo_iw": -value}
    if model.memory.enumerates:
        # As many decodings, or just fewer.
        count = model.memory.num_addresses(memory)
        each = max(num_samples // count, 1)

        def draw_at_each(index: Any, seed: Any) -> Draw:
            return model.memory.sample_address(
                codes, memory, index % count, seed
            )

        # ln sum_a p(a) 1/J sum_j p(x | z_aj, a) p(z_aj | a) / q(z_aj | x, a),
        # with J samples of z at each address and no draw of addresses.
        value = log_sum(draw_at_each, count * each) - math.log(each)
        bounds["nelbo_stratified"] = -value
    return bounds


def _log_sum(
    model: LatentModel,
    images: Any,
    draw: Callable[..., Draw],
    number: int,
    seed: Any,
    advance: Callable[[int], None] | None,
) -> Any:
    """ln of the sum of the weights of `draw(index, seed)`, `[B, Q]`."""
    at_once = _samples_at_once(images, number)

    def add_samples(step: Any, total: Any) -> Any:
        indices = step * at_once + ops.arange(at_once)
        log_weights = _log_weights(model, images, draw, indices, seed)
        # The last pass may have more places than there are samples left.
        leading = [1] * (len(log_weights.shape) - 1)
        exist = ops.reshape(indices < number, (-1, *leading))
        log_weights = ops.where(exist, log_weights, _EMPTY)
        if advance is not None:
            decoded = at_once * math.prod(images.shape[:-3])
            tf.py_function(lambda: advance(decoded), [], [])
        return ops.logaddexp(total, ops.logsumexp(log_weights, axis=0))

    start = ops.full(ops.shape(images)[:-3], _EMPTY, "float32")
    return ops.fori_loop(0, -(-number // at_once), add_samples, start)


def _log_weights(
    model: LatentModel,
    images: Any,
    draw: Callable[..., Draw],
    indices: Any,
    seed: Any,
) -> Any:
    """ln p(x, h_s | M) - ln q(h_s | x, M) of n samples, `[n, B, Q]`."""

    def sample(index: Any) -> tuple:
        draw_seed, pixel_seed = split_seed(fold_in(seed, index), 2)
        drawn = draw(index, draw_seed)
        return drawn.latents, drawn.log_ratio, pixel_seed

    def log_prob(each: tuple) -> Any:
        parameters, pixel_seed = each
        return model.likelihood.log_prob(images, parameters, pixel_seed)

    # Each draw by itself, because a memory takes one seed; what costs is the
    # decoder, and for it n samples of B episodes are n B episodes.
    latents, log_ratio, pixel_seeds = _map(sample, indices)
    parameters = model.decode(keras.tree.map_structure(_joined, latents))
    shape = (-1, ops.shape(images)[0], *ops.shape(parameters)[1:])
    parameters = ops.reshape(parameters, shape)
    return log_ratio + _map(log_prob, (parameters, pixel_seeds))


def _map(function: Callable[..., Any], elements: Any) -> Any:
    # Keras calls it once more, for the shapes: a function is traced once.
    return ops.map(tf.function(function, autograph=False), elements)


def _joined(values: Any) -> Any:
    """`[n, B, ...]` to `[n B, ...]`."""
    return ops.reshape(values, (-1, *ops.shape(values)[2:]))


def _samples_at_once(images: Any, number: int) -> int:
    """Samples of one pass: all passes have as many, but for the last."""
    sizes = images.shape[:-1]
    if None in tuple(sizes):
        return 1
    of_one = 4 * _NUMBERS_OF_A_PIXEL * math.prod(sizes)
    most = max(_BYTES_AT_ONCE // of_one, 1)
    passes = math.ceil(number / most)
    return math.ceil(number / passes)
