"""Draws a figure or fills a table of a paper.

From a finished run, or from trainings of its own.

Example:

    python -m kgpm.reproduce --figure=kpp_reads --model_dir=runs/kpp_digits
"""

import sys

from kgpm import experiments
from kgpm.cli import flags
from kgpm.cli.flag import Flag
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags
from kgpm.errors import UserError
from kgpm.experiments import FIGURES
from kgpm.experiments import TABLES
from kgpm.experiments import ExperimentInfo

# What takes which flag.
_TRAINED = tuple(name for name, info in FIGURES.items() if info.base)
_VARIANTS = ("memory_vae_convergence", "memory_vae_reconstructions")
_SHOWN = ("kpp_reads", "kpp_keys", "kpp_windows", "memory_vae_reconstructions")
_TABLE = {"table": tuple(TABLES)}


def _named(known: dict[str, ExperimentInfo]) -> str:
    return "; ".join(f"{name} ({info.text})" for name, info in known.items())


# A row a flag.
# fmt: off
FLAGS = (
    Flag("figure", tuple(FIGURES), None, f"Which figure: {_named(FIGURES)}."),
    Flag("table", tuple(TABLES), None, f"Which table: {_named(TABLES)}."),
    Flag("num_samples", "integer", 16, "Images to show of each kind.",
         goes_with={"figure": _SHOWN}, least=1),
    Flag("base", "string", None, "Flag file of the trainings.",
         goes_with={"figure": _TRAINED}),
    Flag("num_seeds", "integer", 1, "Trainings of each kind.",
         goes_with={"figure": ("kpp_ablation", "kpp_sizes",
                               "memory_vae_convergence")}, least=1),
    Flag("epochs", "integer", None, "Epochs of each training.",
         unset="those of --base", goes_with={"figure": _TRAINED}, least=1),
    Flag("images_per_step", "integer", 256,
         "Images of a training step, or scored at a time, whatever the "
         "episode's length.",
         goes_with={"figure": ("gpm_capacity", "kpp_sizes")}, least=1),
    Flag("num_targets", "integer", 1000,
         "Images scored in each cell of a table, or at each level of noise "
         "or variance, or all if there are fewer.",
         goes_with={"figure": ("gpm_denoising", "gpm_shared_noise"),
                    **_TABLE}, least=2),
    Flag("num_importance_samples", "integer", 1000,
         "Samples per image of a table's bounds.", goes_with=_TABLE, least=1),
    Flag("lengths", "strings", None,
         "Episode lengths: to train with, or to write.",
         unset="5,8,16,32,64 (kpp_sizes), 8,16,32,64,128,256,512,1024 "
         "(gpm_capacity)",
         goes_with={"figure": ("kpp_sizes", "gpm_capacity")}),
    Flag("runs", "strings", None,
         "Finished runs to compare with that of --model_dir, with commas "
         "between.", unset="that one alone",
         goes_with={"figure": ("gpm_capacity", "gpm_denoising")}),
    Flag("reads", "strings", "1,2,4,8", "Numbers of reads to train with.",
         goes_with={"figure": ("kpp_sizes",)}),
    Flag("variants", "strings", "memory_vae,vq_vae,grid_autoencoder",
         "Models that the figure compares: also memory_vae_cosine, "
         "memory_vae_reference, variational_memory_vae, vq_vae_2048.",
         goes_with={"figure": _VARIANTS}),
    Flag("classes", "strings", "1,2", "Classes in a memory.",
         goes_with=_TABLE),
    Flag("sizes", "strings", "1,2,3,4,5,10,19", "Images in a memory.",
         goes_with=_TABLE),
)
# fmt: on


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define(values, *flags.READING, own=FLAGS)


def check(values: flags.FlagValues) -> None:
    """Finds the figure or table, and what it is to be made from."""
    info = experiments.get_info(values.figure, values.table)
    if info.base is None:
        apply_run_flags(values)
    elif values.base is None:
        raise UserError(
            f"--figure={values.figure} trains: name its flags with --base, "
            f"such as --base={info.base}"
        )
    if not values.variants:
        raise UserError("--variants must name at least one model")
    for name in ("lengths", "reads", "classes", "sizes"):
        numbers = values[name].value or []
        if not all(text.isdecimal() and int(text) for text in numbers):
            raise UserError(
                f"--{name} must be positive integers with commas between, "
                f"received {','.join(numbers)}"
            )


def main(values: flags.FlagValues) -> None:
    """Makes it and says where it is."""
    for path in experiments.drawer(values.figure or values.table)(values):
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(run("kgpm.reproduce", main, define_flags, __doc__, check=check))
