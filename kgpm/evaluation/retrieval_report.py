"""The plots and the table of a denoising experiment."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kgpm.evaluation.retrieval import Retrieval
from kgpm.pictures.line_panel import Panel

# More thin lines than this are a grey patch.
_MOST_CURVES = 64


def retrieval_panels(found: Retrieval, title: str = "") -> list[Panel]:
    """Energy against step, per image and mean, and error against step.

    Args:
        found: what `measure_retrieval` returned.
        title: text above the first panel.
    """
    steps = np.arange(found.energies.shape[1])
    query = found.query_errors[:, None]
    errors = np.concatenate([query, found.read_errors], axis=1)
    return [
        Panel(
            x=steps,
            x_label="read (0: the query)",
            y_label="energy (nats)",
            title=title,
            curves={"mean": found.energies.mean(axis=0)},
            thin=found.energies[:_MOST_CURVES],
            thin_label="one image",
            # The query's energy is often many times that of any read.
            log_y=bool(found.energies.min() > 0),
        ),
        Panel(
            x=steps,
            x_label="read (0: the query)",
            y_label=f"{found.unit} (mean, standard error)",
            title=f"distance from the clean image, {len(query):,} images",
            curves={"read": (errors.mean(axis=0), _standard_error(errors))},
            levels={
                "encode and decode": float(found.autoencoder_errors.mean())
            },
        ),
    ]


def retrieval_table(summary: Mapping[str, Any]) -> str:
    """A line per step: error, energy and code residual, with standard errors.

    Args:
        summary: `Retrieval.summary()`, with the setting.
    """
    heading = (
        f"{summary['noise']} {summary['level']:g}, {summary['split']} split, "
        f"{summary['num_images']:,} images in episodes of "
        f"{summary['episode_length']}, threshold {summary['threshold']:g}"
    )
    data = f"data: {summary['description']}"
    energies, residuals = summary["energy"], summary["residual"]
    rows = [
        ("query", summary["query"], energies[0], residuals[0]),
        ("encode and decode", summary["autoencoder"], None, None),
    ]
    rows += [
        (f"read {step}", error, energies[step], residuals[step])
        for step, error in enumerate(summary["reads"], start=1)
    ]
    digits = 2 if summary["unit"].startswith("pixels") else 4
    lines = [
        heading,
        data,
        "",
        f"{'':24}  {summary['unit']:>20}  {'energy (nats)':>20}  "
        f"{'code residual':>20}",
    ]
    for name, error, energy, residual in rows:
        lines.append(
            f"{name:24}  {_cell(error, digits)}  {_cell(energy, 2)}  "
            f"{_cell(residual, 3)}"
        )
    return "\n".join(
        [
            *(line.rstrip() for line in lines),
            "",
            f"The energy rises by more than {summary['energy_tolerance']:g} "
            f"nats in {100 * summary['energy_rises']:.2f}% of all steps.",
        ]
    )


def _cell(value: Mapping[str, float | None] | None, digits: int) -> str:
    if value is None:
        return ""
    mean, error = value["mean"], value["standard_error"]
    if mean is None:
        return f"{'not finite':>20}"
    text = f"{mean:.{digits}f}"
    if error is not None:
        text += f" ± {error:.{digits}f}"
    return f"{text:>20}"


def _standard_error(values: np.ndarray) -> np.ndarray | None:
    if len(values) < 2:
        return None
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))
