"""Tighter bounds on the likelihood of images, by importance weights."""

import math
from typing import Any

from keras import ops

from kgpm.errors import check_count
from kgpm.evaluation.held_out import leave_each_out
from kgpm.models import LatentModel
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed

# -inf would be the empty sum, but its gradient is not a number.
_EMPTY = -1e30


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
    never to be compared with it. The samples pass one after the other, so
    memory does not grow with their number.

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
    if memory is None and model.memory.stores:
        memory = model.write(images, weights, write_seed)
    codes = model.encode(images, weights)
    memory = _point(model, memory, draw_seed)
    return _bounds(model, images, codes, memory, num_importance_samples, seed)


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
        memory = _point(model, memory, draw_seed)
        return _bounds(model, image, code, memory, num_importance_samples, seed)

    return leave_each_out(model, images, weights, seed, score)


def _point(model: LatentModel, memory: Any, seed: Any) -> Any:
    return model.memory.recall(model.memory.draw(memory, seed))


def _bounds(
    model: LatentModel,
    images: Any,
    codes: Any,
    memory: Any,
    num_samples: int,
    seed: Any,
) -> dict[str, Any]:
    check_count("num_importance_samples", num_samples)
    bounds = {
        "nelbo_iw": -_weigh(model, images, codes, memory, num_samples, seed)
    }
    if model.memory.enumerates:
        # As many decodings, or just fewer.
        count = model.memory.num_addresses(memory)
        each = max(num_samples // count, 1)
        value = _weigh_every_address(model, images, codes, memory, each, seed)
        bounds["nelbo_stratified"] = -value
    return bounds


def _weigh(
    model: LatentModel,
    images: Any,
    codes: Any,
    memory: Any,
    num_samples: int,
    seed: Any,
) -> Any:
    """ln of the mean weight of draws of all latents, `[B, Q]`."""
    seed = make_seed(seed)

    def add_sample(index: Any, total: Any) -> Any:
        draw_seed, pixel_seed = split_seed(fold_in(seed, index), 2)
        draw = model.sample_latents(codes, memory, draw_seed)
        terms = model.explain(images, [draw], pixel_seed)[0]
        return ops.logaddexp(total, draw.log_ratio - terms["nll"])

    start = ops.full(ops.shape(images)[:-3], _EMPTY, "float32")
    total = ops.fori_loop(0, num_samples, add_sample, start)
    return total - ops.log(ops.cast(num_samples, "float32"))


def _weigh_every_address(
    model: LatentModel,
    images: Any,
    codes: Any,
    memory: Any,
    num_samples: int,
    seed: Any,
) -> Any:
    """The same with a sum over the addresses instead of draws of them.

    `ln sum_a p(a) 1/J sum_j p(x | z_aj, a) p(z_aj | a) / q(z_aj | x, a)` with
    J samples of z at each address.
    """
    seed = make_seed(seed)
    count = model.memory.num_addresses(memory)

    def add_sample(index: Any, total: Any) -> Any:
        draw_seed, pixel_seed = split_seed(fold_in(seed, index), 2)
        draw = model.memory.sample_address(
            codes, memory, index % count, draw_seed
        )
        terms = model.explain(images, [draw], pixel_seed)[0]
        return ops.logaddexp(total, draw.log_ratio - terms["nll"])

    start = ops.full(ops.shape(images)[:-3], _EMPTY, "float32")
    total = ops.fori_loop(0, count * num_samples, add_sample, start)
    return total - math.log(num_samples)
