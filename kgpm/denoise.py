"""Corrupts images that a memory holds and reads them back, again and again.

Writes clean episodes of a split, corrupts the same images, reads each with
the corrupted image as the query, then with what was just read, and so on.
Prints the error after each read beside that of the query itself and of a plain
pass of encoder and decoder with nothing written, and saves them as
denoise.json, a strip of a few images and plots of energy and error. Names of
files carry the noise.

Example:

    python -m kgpm.denoise --model_dir=runs/digits --noise=salt_and_pepper
"""

import sys
from typing import Any

from kgpm.cli import flags
from kgpm.cli.flag import Flag
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags
from kgpm.data import CORRUPTIONS
from kgpm.data import get_corruption
from kgpm.data import make_corruption

_LEVELS = [
    f"{name}: {noise.level.label} ({noise.level_of((28, 28)).default:g})"
    for name, noise in CORRUPTIONS.items()
]
# A row a flag.
# fmt: off
FLAGS = (
    Flag("noise", tuple(CORRUPTIONS), "salt_and_pepper", "The corruption."),
    Flag("level", "float", None,
         "Its strength, in brackets what it is without this flag for images "
         f"of 28 x 28 pixels. {'; '.join(_LEVELS)}.", unset="see there"),
    Flag("block_value", "float", None,
         "What a block is filled with, from 0 (black) to 1 (white).",
         unset="0", goes_with={"noise": ("block",)}, least=0.0, most=1.0),
    Flag("num_images", "integer", 512, "Images to measure.", least=1),
    Flag("num_examples", "integer", 8, "Images in the strip.", least=1),
)
# fmt: on


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define(values, *flags.READING, "output", own=FLAGS)


def main(values: flags.FlagValues) -> None:
    """Measures, prints the table and saves pictures and numbers."""
    # Imported here so that --help does not wait for TensorFlow.
    from pathlib import Path

    from kgpm.cli.images import evaluation_batches
    from kgpm.cli.stored_run import open_run
    from kgpm.evaluation.retrieval import is_binary
    from kgpm.evaluation.retrieval import measure_retrieval
    from kgpm.evaluation.retrieval_report import retrieval_panels
    from kgpm.evaluation.retrieval_report import retrieval_table
    from kgpm.files import write_json
    from kgpm.pictures import drawing
    from kgpm.pictures import image_rows

    model, images = open_run(values)
    level = values.level
    if level is None:
        noise = get_corruption(values.noise)
        level = noise.level_of(model.image_shape).default
    corrupt = make_corruption(
        values.noise,
        level,
        binary=is_binary(model),
        block_value=values.block_value,
    )
    num_episodes = -(-values.num_images // values.episode_length)
    found = measure_retrieval(
        model,
        evaluation_batches(
            values, images, min(values.batch_size, num_episodes)
        ),
        corrupt,
        num_steps=values.num_steps,
        threshold=values.threshold,
        num_images=values.num_images,
        num_examples=values.num_examples,
        seed=values.seed,
    )
    summary = {**_setting(values, images, level), **found.summary()}
    name = f"denoise_{values.noise}"
    strip = Path(values.output or Path(values.model_dir) / f"{name}.png")
    curves = strip.with_name(f"{strip.stem}_curves.png")
    table = strip.with_suffix(".json")
    title = f"{images.label}, {values.split} split: {values.noise} {level:g}"
    drawing.sheet(
        path=strip,
        title=title,
        **image_rows.denoising(found.clean, found.queries, found.reads),
    )
    drawing.line_plot(retrieval_panels(found, title), curves)
    write_json(table, summary)
    print(retrieval_table(summary))
    for path in (strip, curves, table):
        print(f"wrote {path}")


def _setting(values: flags.FlagValues, images: Any, level: float) -> dict:
    return {
        "split": values.split,
        "description": images.description,
        "episode_length": values.episode_length,
        "noise": values.noise,
        "level": level,
        "block_value": values.block_value,
        "num_steps": values.num_steps,
        "threshold": values.threshold,
        "seed": values.seed,
    }


if __name__ == "__main__":
    sys.exit(
        run(
            "kgpm.denoise",
            main,
            define_flags,
            __doc__,
            check=apply_run_flags,
        )
    )
