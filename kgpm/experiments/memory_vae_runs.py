"""The trainings that the figures of MemoryVAE and VQVAE compare."""

from pathlib import Path
from typing import Any
from typing import NamedTuple

from kgpm.cli import flags
from kgpm.cli.main import training_flags
from kgpm.errors import UserError
from kgpm.experiments.training_runs import TrainedRun
from kgpm.experiments.training_runs import train


class Variant(NamedTuple):
    """A model of the comparison.

    Attributes:
        label: what it is called in figures.
        settings: flags that make it.
    """

    label: str
    settings: dict[str, Any]


VARIANTS = {
    "memory_vae": Variant("soft memory", {"model": "memory_vae"}),
    "memory_vae_cosine": Variant(
        "soft memory, cosine", {"model": "memory_vae", "similarity": "cosine"}
    ),
    "memory_vae_reference": Variant(
        "soft memory, published sign",
        {"model": "memory_vae", "similarity": "reference"},
    ),
    "variational_memory_vae": Variant(
        "variational memory", {"model": "variational_memory_vae"}
    ),
    "vq_vae": Variant("VQ-VAE", {"model": "vq_vae"}),
    "vq_vae_2048": Variant(
        "VQ-VAE, 2,048 codes", {"model": "vq_vae", "num_embeddings": 2048}
    ),
    "grid_autoencoder": Variant("no bottleneck", {"model": "grid_autoencoder"}),
}


class TrainedVariant(NamedTuple):
    """The runs of a variant, one a seed.

    Attributes:
        name: of `VARIANTS`.
        label: what it is called in figures.
        folders: where the runs are.
        runs: what they left behind.
    """

    name: str
    label: str
    folders: list[Path]
    runs: list[TrainedRun]


def train_variants(
    values: flags.FlagValues, num_seeds: int
) -> list[TrainedVariant]:
    """Trains `--variants` below `--model_dir`, so many times each.

    What is there already is not trained again.

    Raises:
        UserError: an unknown variant, or a training that fails.
    """
    trained = []
    for name in values.variants:
        if name not in VARIANTS:
            raise UserError(
                f"Expected --variants among {', '.join(VARIANTS)}, received "
                f"{name!r}."
            )
    for name in values.variants:
        label, settings = VARIANTS[name]
        folders = [
            Path(values.model_dir) / f"{name}_{seed}"
            for seed in range(num_seeds)
        ]
        runs = [
            train(
                folder,
                values.base,
                seed=seed,
                epochs=values.epochs,
                data_dir=values.data_dir,
                **settings,
            )
            for seed, folder in enumerate(folders)
        ]
        trained.append(TrainedVariant(name, label, folders, runs))
    return trained


def base_flags(values: flags.FlagValues) -> flags.FlagValues:
    """The flags of `--base`, as the trainings had them."""
    arguments = [f"--flagfile={values.base}", f"--model_dir={values.model_dir}"]
    if values.data_dir is not None:
        arguments.append(f"--data_dir={values.data_dir}")
    return training_flags(*arguments)
