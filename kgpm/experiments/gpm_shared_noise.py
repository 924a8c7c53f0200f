"""What the published GPM code reports, and what it may report.

A run whose address has a variance for each slot is scored at many variances,
the same for all slots: as published, with one number of noise for a whole
batch, and with the independent noises whose divergence is charged. The first
is no bound and falls as far as its divergence lets it; the second is one
(docs/bounds.md). Weights are those of the run.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.cli import flags
from kgpm.cli.images import evaluation_batches
from kgpm.cli.stored_run import open_run
from kgpm.errors import UserError
from kgpm.evaluation.batches import unpack
from kgpm.evaluation.summary import mean_and_standard_error
from kgpm.experiments.compared_runs import write_rows
from kgpm.layers import PseudoInverseMemory
from kgpm.pictures import drawing
from kgpm.pictures.line_panel import Panel

LOG_VARIANCES = np.linspace(-8.0, 1.0, 19)
_KINDS = {
    "as published: one noise for a batch, no bound": True,
    "independent noises, as charged: a bound": False,
}


def draw(values: flags.FlagValues) -> list[Path]:
    """Scores the run both ways; writes a CSV file and a picture."""
    model, images = open_run(values)
    memory = model.memory
    of_gpm = isinstance(memory, PseudoInverseMemory)
    if not of_gpm or memory.address_posterior.posterior != "per_slot":
        raise UserError(
            "Expected --model_dir of a run of gpm with --posterior=per_slot, "
            "as the published code has it (and with --shared_noise to train "
            f"as it does), received one with {type(memory).__name__}."
        )
    rows, curves = [], {}
    for name, shared in _KINDS.items():
        memory.address_posterior.shared_noise = shared
        scores = _scores(model, values, images)
        curves[name] = tuple(
            np.array([score[part] for score in scores], "float64")
            for part in ("mean", "standard_error")
        )
        best = int(np.argmin(curves[name][0]))
        print(
            f"{name}: {curves[name][0][best]:.1f} nats at a log-variance of "
            f"{LOG_VARIANCES[best]:g}"
        )
        rows += [
            (shared, variance, score["mean"], score["standard_error"])
            for variance, score in zip(LOG_VARIANCES, scores, strict=True)
        ]
    path = Path(values.model_dir) / "gpm_shared_noise"
    table, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    header = ("shared_noise", "log_variance", "nats", "standard_error")
    write_rows(header, rows, table)
    panel = Panel(
        x=LOG_VARIANCES,
        x_label="log-variance of the address, the same for all slots",
        y_label="nll + kl_w, nats per image",
        title=images.label,
        curves=curves,
        log_y=True,
    )
    drawing.line_plot([panel], picture)
    return [table, picture]


def _scores(model: Any, values: flags.FlagValues, images: Any) -> list[dict]:
    variable = model.memory.address_posterior.w_log_variance
    score = tf.function(
        lambda episodes, weights, seed: ops.nelbo(
            model.bound_terms(episodes, weights, seed)
        )
    )
    scores = []
    for log_variance in LOG_VARIANCES:
        variable.assign(np.full(variable.shape, log_variance, "float32"))
        parts: list[np.ndarray] = []
        sizes: list[int] = []
        batches = evaluation_batches(values, images, values.batch_size)
        for index, batch in enumerate(batches):
            if sum(sizes) >= values.num_targets:
                break
            episodes, weights = unpack(batch)
            mask = np.asarray(weights) > 0
            seed = ops.fold_in(values.seed, index)
            nats = np.asarray(score(episodes, weights, seed), "float64")
            parts.append(nats[mask])
            sizes.extend(mask.sum(axis=1))
        scores.append(mean_and_standard_error(np.concatenate(parts), sizes))
    return scores
