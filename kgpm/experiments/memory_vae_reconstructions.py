"""Test images beside what each model makes of them.

The columns are the original, the reconstructions by `--variants`, trained from
`--base` with the seed 0 where they are not there yet, and for the soft memory
also the one by its likeliest rows.
"""

import csv
from pathlib import Path

import numpy as np

from kgpm.cli import flags
from kgpm.cli.images import load_split
from kgpm.experiments.memory_vae_runs import base_flags
from kgpm.experiments.memory_vae_runs import train_variants
from kgpm.files import atomic_path
from kgpm.layers import SoftBottleneck
from kgpm.pictures import drawing
from kgpm.training.stored_model import load_model


def draw(values: flags.FlagValues) -> list[Path]:
    """Draws the sheet, and writes the error of each image in it."""
    trained = train_variants(values, num_seeds=1)
    test = load_split(base_flags(values), "test")
    images = test.images[: values.num_samples].astype("float32") / 255.0
    columns = {"original": images}
    variances = []
    for variant in trained:
        model = load_model(variant.folders[0], "best")
        variances.append(model.likelihood.variance)
        columns[variant.label] = np.asarray(model.read(images))
        if isinstance(model.memory, SoftBottleneck) and not model.memory.draws:
            latents, _ = model.memory.read_rows(model.encode(images), "hard")
            parameters = model.decode(latents)
            columns[f"{variant.label},\nhard read"] = np.asarray(
                model.likelihood.mean(parameters)
            )
    folder = Path(values.model_dir)
    picture = folder / "memory_vae_reconstructions.png"
    drawing.sheet(
        list(zip(*columns.values(), strict=True)),
        picture,
        column_labels=[label.replace(", ", ",\n") for label in columns],
        title=f"{test.label}: test images and their reconstructions",
        wide_gaps=(1,),
    )
    table = folder / "memory_vae_reconstructions.csv"
    errors = {
        label.replace("\n", " "): np.square(column - images).mean((1, 2, 3))
        / variances[0]
        for label, column in columns.items()
        if label != "original"
    }
    with atomic_path(table) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *(f"nmse {name}" for name in errors)])
            for index, row in enumerate(zip(*errors.values(), strict=True)):
                writer.writerow([index, *map(float, row)])
    return [picture, table]
