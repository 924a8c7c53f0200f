"""Scores a model on a split under one honest protocol, in nats per image.

Figures over the same images, their noise from the same seed:

    A        the memory was written from the scored images themselves;
    A_order  the same with the images of each episode in another order, for
             models to which it matters;
    B        the scored image was left out of what was written;
    C_prior  nothing was written;
    C_other  the memory was written from another episode.

A is a bound on log p(x | M(x)), not on log p(x): a memory of T images can make
it as low as ln T. B is a predictive bound, and the distance from A and B to C
is what the memory contributes. A model without a memory has figure A alone, and
there it bounds log p(x) itself, or nothing (`why_no_bound`).
"""

import contextlib
import time
from typing import Any

import tensorflow as tf

from kgpm.errors import UserError
from kgpm.evaluation.batches import unpack
from kgpm.evaluation.figures import FigureScores
from kgpm.evaluation.progress import Progress


def evaluate(
    model: Any,
    dataset: Any,
    *,
    seed: int = 0,
    num_draws: int = 1,
    num_importance_samples: int = 0,
    split: str = "test",
    description: str = "",
    progress: bool | None = None,
) -> dict:
    """Scores every image of `dataset` whose weight is not zero.

    Terms are computed per image in inference mode and averaged over images,
    never over batches. Standard errors are over the episodes that a memory
    ties together (`mean_and_standard_error`), or over images where there is
    none. The noise depends on `seed`, the batch and the draw alone, so two
    models are compared under the same noise.

    Args:
        model: a `LatentModel`.
        dataset: batches `{"images": [B, T, H, W, C], "weights": [B, T]}` (or
            `[B, T, H, W, C]`), each image with weight 1 once, padding 0.
        seed: of the noise.
        num_draws: noise draws averaged per image.
        num_importance_samples: if not 0, figures A and B also get
            `nelbo_iw`, the importance-weighted bound of that many samples
            (Burda et al. 2016), which is tighter than `nelbo` and not
            comparable with it, and what other such bounds the model has.
        split: name of the split, for the record.
        description: one line about the data, for the record.
        progress: whether to show a bar; by default on a terminal only.

    Returns:
        A dict that `json` can write. `figures` maps each key of `FIGURES` to
        `None` or to a dict of the terms, `nelbo`, `nelbo_full` where the
        memory has a density, and bits per dimension, each
        `{"mean": float, "standard_error": float}`. `None` in place of a
        number means that it is not finite.

    Raises:
        UserError: if there is no image to score, a count is too small, or
            the likelihood cannot score the pixels.
    """
    _check_count("num_draws", num_draws, 1)
    _check_count("num_importance_samples", num_importance_samples, 0)
    started = time.perf_counter()
    num_batches = int(dataset.cardinality())
    if num_batches == tf.data.INFINITE_CARDINALITY:
        raise UserError(
            "evaluate expected a data set that ends, received one that "
            "repeats without end; build it with repeat=False."
        )
    bar = Progress(num_batches if num_batches > 0 else None, progress)
    scorer = FigureScores(
        model,
        seed,
        num_draws,
        num_importance_samples,
        bar.advance if bar.counts_parts else None,
    )
    with contextlib.closing(bar):
        for index, batch in enumerate(dataset):
            images, weights = unpack(batch)
            bar.decodings = scorer.decodings * len(images) * images.shape[1]
            bar.end_batch(scorer.update(index, images, weights))
    if scorer.num_images == 0:
        raise UserError(
            f"evaluate expected at least one image of the {split} split, "
            "received none; check the split and the size of its episodes."
        )
    floats = model.memory.memory_floats(scorer.episode_length)
    return {
        "model": type(model).__name__,
        "why_no_bound": model.memory.why_no_bound,
        "has_memory": model.memory.stores,
        "prior_is_trained": model.memory.prior_is_trained,
        "image_shape": [int(side) for side in model.image_shape],
        "split": split,
        "description": description,
        "num_images": scorer.num_images,
        "num_episodes": scorer.num_episodes,
        "episode_length": scorer.episode_length,
        "seed": int(seed),
        "num_draws": num_draws,
        "num_importance_samples": scorer.num_samples,
        "units": "nats/image",
        "figures": scorer.figures(),
        "memory_floats_per_image": None
        if floats is None
        else floats / scorer.episode_length,
        "parameters": int(model.count_params()),
        "seconds": round(time.perf_counter() - started, 2),
    }


def _check_count(name: str, value: int, minimum: int) -> None:
    if not isinstance(value, int) or value < minimum:
        raise UserError(
            f"evaluate expected {name} to be an integer of at least "
            f"{minimum}, received {value!r}; pass a larger one."
        )
