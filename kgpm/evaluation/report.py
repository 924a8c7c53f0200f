"""The table of an evaluation, for people, and its file, for programs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgpm.files import write_json

_ROWS = {
    "A": "A   conditional",
    "A_order": "A   in another order",
    "B": "B   held-out query",
    "C_prior": "C   memory not written",
    "C_other": "C   another episode's memory",
}
_HEADINGS = {
    "nelbo_stratified": "nelbo stratified",
    "nelbo_full": "nelbo+kl_memory",
    "address_entropy": "entropy of addresses",
    "bits_per_dim": "bits/dim",
    "bits_per_dim_nll": "nll bits/dim",
    "bits_per_dim_kl": "kl bits/dim",
}
# Grey images are compared in nats; the file has these for all.
_RGB_ONLY = ("bits_per_dim_nll", "bits_per_dim_kl", "bits_per_dim_iw")
_WITHOUT_MEMORY = """\
Nothing is written to the model: A bounds log p(x) itself, so it is to be
compared with nelbo+kl_memory of a model that pays for its memory, and there is
no B or C."""
_EXPLANATION = """\
A scores images under a memory written from these same images, so it bounds
log p(x | memory) and a low A alone proves nothing; B scores each image under a
memory written from the others of its episode; C scores it under a memory that
was never written, or written from another episode. Read A, B and C together."""

_ORDER = """\
The network sees an episode's images in their order; "in another order" is A of
the same images shuffled within each episode."""
_UNTRAINED_PRIOR = """\
"memory not written" is an input that this model's training never sees: for what
the memory contributes, read "another episode's memory"."""


def format_table(result: Mapping[str, Any]) -> str:
    """The figures of `evaluate` as an aligned table, with what they mean.

    Args:
        result: what `evaluate` returned.
    """
    figures = result["figures"]
    num_samples = result["num_importance_samples"]
    rgb = result["image_shape"][-1] == 3
    has_memory = result["has_memory"]
    names = list(
        dict.fromkeys(
            name
            for figure in figures.values()
            for name in figure or ()
            if name != "title" and (rgb or name not in _RGB_ONLY)
        )
    )
    headings = {name: _HEADINGS.get(name, name) for name in names}
    headings["nelbo_iw"] = f"nelbo IW-{num_samples}"
    headings["bits_per_dim_iw"] = f"bits/dim IW-{num_samples}"
    table = [["", *(headings[name] for name in names)]]
    for key, label in _ROWS.items():
        figure = figures.get(key)
        if figure is None:
            continue
        if key == "A" and not has_memory:
            label = "A   no bound" if result["why_no_bound"] else "A   bound"
        cells = [_cell(name, figure.get(name)) for name in names]
        table.append([label, *cells])
    lines = [_headline(result)]
    if result["description"]:
        lines.append(f"data: {result['description']}")
    floats = result["memory_floats_per_image"]
    lines.append(
        ("unknown" if floats is None else f"{floats:,.4g}")
        + f" floats of memory per image, {result['parameters']:,} parameters"
    )
    over = " over episodes" if has_memory else ""
    lines += [
        "nats per image (bits/dim where said), mean ± standard error" + over,
        "",
    ]
    no_bound = result["why_no_bound"]
    if no_bound:
        lines[-1:] = [f"NOT A BOUND: {no_bound}.", ""]
    lines += _aligned(table)
    if has_memory and figures.get("C_other") is None:
        lines.append(
            "C   another episode's memory: none, the split is a single episode"
        )
    if has_memory or not no_bound:
        lines += ["", _EXPLANATION if has_memory else _WITHOUT_MEMORY]
    if figures.get("A_order") is not None:
        lines.append(_ORDER)
    if has_memory and not result["prior_is_trained"]:
        lines.append(_UNTRAINED_PRIOR)
    if num_samples:
        lines.append(
            f"IW-{num_samples} is the tighter importance-weighted bound of "
            f"{num_samples:,} samples: never compare it with nelbo."
        )
    if any("nelbo_stratified" in (f or ()) for f in figures.values()):
        lines.append(
            "The stratified one sums over the memory's entries instead of "
            "drawing them, with about as many samples in all."
        )
    if "nelbo_full" in (figures.get("A") or {}):
        lines.append(
            "nelbo+kl_memory also charges for the memory: it bounds log p(X), "
            "per image."
        )
    return "\n".join(lines)


def write_metrics(result: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Writes `result` as JSON; an interrupted write leaves the old file."""
    write_json(Path(path), result)


def _headline(result: Mapping[str, Any]) -> str:
    draws = result["num_draws"]
    return (
        f"{result['model']}, {result['split']} split: "
        f"{result['num_images']:,} images in {result['num_episodes']:,} "
        f"episodes of {result['episode_length']}, noise seed "
        f"{result['seed']}, {draws} draw{'s' if draws > 1 else ''}"
    )


def _cell(name: str, value: Mapping[str, float | None] | None) -> str:
    if value is None:
        return "-"
    mean, error = value["mean"], value["standard_error"]
    if mean is None:
        return "not finite"
    digits = 4 if name.startswith(("bits_per_dim", "nmse")) else 2
    if error is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def _aligned(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
        )
        for row in table
    ]
