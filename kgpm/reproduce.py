"""Draws a figure or fills a table of a paper.

From a finished run, or from trainings of its own.

Example:

    python -m kgpm.reproduce --figure=kpp_reads --model_dir=runs/kpp_digits
"""

import sys

from kgpm import experiments
from kgpm.cli import flags
from kgpm.cli import stored_run_flags
from kgpm.cli.flag_groups import definers
from kgpm.cli.flag_groups import list_definer
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags
from kgpm.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    stored_run_flags.define_stored_run_flags(values, "Images to write.")
    stored_run_flags.define_reading_flags(values)
    string, integer, *_ = definers(values, "program")
    for flag, known in (
        ("figure", experiments.FIGURES),
        ("table", experiments.TABLES),
    ):
        names = "; ".join(f"{n} ({info.text})" for n, info in known.items())
        string(flag, None, f"Which {flag}: {names}.")
    integer("num_samples", 16, "Images to show of each kind.", lower_bound=1)
    string(
        "base",
        None,
        "Flag file of the trainings of a figure that needs some; without it "
        "there are none.",
    )
    integer("num_seeds", 1, "Trainings of each kind.", lower_bound=1)
    integer(
        "epochs",
        None,
        "Epochs of each training; without it those of --base.",
        lower_bound=1,
    )
    integer(
        "images_per_step",
        256,
        "Images of a training step, or scored at a time, whatever the "
        "episode's length.",
        lower_bound=1,
    )
    integer(
        "num_targets",
        1000,
        "Images scored in each cell of a table, or at each level of noise or "
        "variance, or all if there are fewer.",
        lower_bound=2,
    )
    integer(
        "num_importance_samples",
        1000,
        "Samples per image of a table's bounds.",
        lower_bound=1,
    )
    strings = list_definer(values, "program")
    strings(
        "lengths",
        None,
        "Episode lengths: to train with (kpp_sizes; without it 5,8,16,32,64), "
        "or to write (gpm_capacity; without it 8,16,32,64,128,256,512,1024).",
    )
    strings(
        "runs",
        None,
        "Finished runs to compare with that of --model_dir (gpm_capacity, "
        "gpm_denoising), with commas between; without it that one alone.",
    )
    strings("reads", "1,2,4,8", "Numbers of reads to train with.")
    strings(
        "variants",
        "memory_vae,vq_vae,grid_autoencoder",
        "Models that the memory_vae figures compare: also memory_vae_cosine, "
        "memory_vae_reference, variational_memory_vae, vq_vae_2048.",
    )
    strings("classes", "1,2", "Classes in a memory, of a table.")
    strings("sizes", "1,2,3,4,5,10,19", "Images in a memory, of a table.")


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
