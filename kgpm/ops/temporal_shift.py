"""Mixing neighbouring images of an episode at no cost in arithmetic."""

from typing import Any

from keras import ops

from kgpm.errors import UserError


def temporal_shift(
    features: Any, fraction: float = 0.125, weights: Any = None
) -> Any:
    """Exchanges some channels with the neighbours in an episode.

    Of C channels the first `int(fraction C)` take the values of the next
    image, as many after them those of the one before, and the rest stay;
    where there is no neighbour, zeros.

    Args:
        features: `[B, T, H, W, C]`.
        fraction: share of the channels that moves each way, 0 to 1/2.
        weights: `[B, T]`, 0 for an absent image, whose features reach no
            neighbour; all 1 by default.

    Returns:
        `[B, T, H, W, C]`.

    Raises:
        UserError: a fraction outside [0, 1/2].

    Source: Lin et al., "TSM: Temporal Shift Module for Efficient Video
    Understanding", ICCV 2019.
    """
    if not 0.0 <= fraction <= 0.5:
        raise UserError(
            f"Expected a shift fraction from 0 to 0.5, received {fraction}."
        )
    count = int(features.shape[-1] * fraction)
    if count == 0:
        return features
    moving = features[..., : 2 * count]
    if weights is not None:
        present = ops.cast(weights, features.dtype)
        moving = moving * present[:, :, None, None, None]
    still = [(0, 0), (0, 0), (0, 0)]
    later = ops.pad(moving[:, 1:, ..., :count], [(0, 0), (0, 1), *still])
    earlier = ops.pad(moving[:, :-1, ..., count:], [(0, 0), (1, 0), *still])
    return ops.concatenate(
        [later, earlier, features[..., 2 * count :]], axis=-1
    )
