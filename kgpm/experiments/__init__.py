"""Figures and tables of the papers, a module each. No TensorFlow here."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import NamedTuple

from kgpm.errors import UserError


class ExperimentInfo(NamedTuple):
    """What a figure or table shows, and what it is made from.

    Attributes:
        text: what it shows.
        base: flags of trainings that would do for `--base`; `None` where it
            is made from a finished run.
    """

    text: str
    base: str | None = None


# Each is a module of this package with `draw(values)`, which writes its
# pictures below `--model_dir` and returns their paths.
FIGURES = {
    "gpm_capacity": ExperimentInfo(
        "GPM, figure 4: bounds against the images in one memory, of runs"
    ),
    "gpm_denoising": ExperimentInfo(
        "GPM, figures 2 and 8: errors after reading damaged images, of runs"
    ),
    "gpm_shared_noise": ExperimentInfo(
        "GPM: the published figure and a bound, of one run"
    ),
    "kpp_reads": ExperimentInfo(
        "Kanerva++, figure 6: generation and denoising, read by read"
    ),
    "kpp_keys": ExperimentInfo(
        "Kanerva++, figures 7 and 8: keys near each other and random ones"
    ),
    "kpp_windows": ExperimentInfo(
        "Kanerva++, figure 11: windows of an image and of a memory"
    ),
    "kpp_ablation": ExperimentInfo(
        "Kanerva++, figure 9: with and without its memory",
        "configs/kpp_omniglot_small.cfg",
    ),
    "memory_vae_convergence": ExperimentInfo(
        "MemoryVAE and VQVAE: error by minibatches, and its controls",
        "configs/memory_vae_cifar10_short.cfg",
    ),
    "memory_vae_reconstructions": ExperimentInfo(
        "MemoryVAE and VQVAE: test images and reconstructions",
        "configs/memory_vae_cifar10_short.cfg",
    ),
    "kpp_sizes": ExperimentInfo(
        "Kanerva++, figure 10: episode length and number of reads",
        "configs/kpp_digits.cfg",
    ),
}


TABLES = {
    "vma_omniglot": ExperimentInfo(
        "Variational Memory Addressing: bounds by memory size and classes"
    ),
}


def get_info(figure: str | None, table: str | None) -> ExperimentInfo:
    """What is known of a figure or a table.

    Raises:
        UserError: none or both.
    """
    if (figure is None) == (table is None):
        raise UserError(
            f"Expected --figure (one of {', '.join(FIGURES)}) or --table (one "
            f"of {', '.join(TABLES)}), received "
            f"{'neither' if figure is None else 'both'}."
        )
    return FIGURES[figure] if figure is not None else TABLES[str(table)]


def drawer(name: str) -> Callable[[Any], list[Path]]:
    """The function of flags that makes one; loads TensorFlow."""
    return importlib.import_module(f"kgpm.experiments.{name}").draw
