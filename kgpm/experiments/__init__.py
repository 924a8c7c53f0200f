"""Figures of the papers, one module a figure, by name. No TensorFlow here."""

import difflib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import NamedTuple

from kgpm.errors import UserError


class FigureInfo(NamedTuple):
    """What a figure shows, and whether it is drawn from a finished run."""

    text: str
    needs_run: bool


# Each is a module of this package with `draw(values)`, which writes its
# pictures below `--model_dir` and returns their paths.
FIGURES = {
    "kpp_reads": FigureInfo(
        "Kanerva++, figure 6: generation and denoising, read by read", True
    ),
    "kpp_keys": FigureInfo(
        "Kanerva++, figures 7 and 8: keys near each other and random ones",
        True,
    ),
    "kpp_windows": FigureInfo(
        "Kanerva++, figure 11: windows of an image and of a memory", True
    ),
    "kpp_ablation": FigureInfo(
        "Kanerva++, figure 9: with and without its memory", False
    ),
    "kpp_sizes": FigureInfo(
        "Kanerva++, figure 10: episode length and number of reads", False
    ),
}


def get_info(name: str | None) -> FigureInfo:
    """What is known of a figure.

    Raises:
        UserError: no name, or an unknown one, with the nearest known one.
    """
    if name in FIGURES:
        return FIGURES[name]
    near = difflib.get_close_matches(name or "", FIGURES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"Expected --figure to be one of {', '.join(FIGURES)}, received "
        f"{name!r}.{hint}"
    )


def drawer(name: str) -> Callable[[Any], list[Path]]:
    """The function of flags that draws a figure; loads TensorFlow."""
    get_info(name)
    return importlib.import_module(f"kgpm.experiments.{name}").draw
