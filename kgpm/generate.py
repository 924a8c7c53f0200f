"""Draws new images from a memory and shows how they form, step by step.

Writes the first episode of a split into a memory, draws samples from it,
reads each one repeatedly and saves a picture: a row a sample, a column a
step, and at the right the written image that is nearest to the last step.

Example:

    python -m kgpm.generate --model_dir=runs/digits --num_steps=10
"""

import sys

from kgpm.cli import flags
from kgpm.cli.flag import Flag
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags

FLAGS = (
    Flag("num_samples", "integer", 16, "Images to generate.", least=1),
    Flag(
        "repeat_written",
        "integer",
        1,
        "How many times each image of the episode is written (the paper: 3 "
        "for CIFAR).",
        least=1,
    ),
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define(values, *flags.READING, "output", own=FLAGS)


def main(values: flags.FlagValues) -> None:
    """Generates and saves the picture."""
    # Imported here so that --help does not wait for TensorFlow.
    from pathlib import Path

    import numpy as np

    from kgpm import ops
    from kgpm.cli.images import evaluation_batches
    from kgpm.cli.stored_run import open_run
    from kgpm.evaluation.batches import write_memory
    from kgpm.evaluation.retrieval import is_binary
    from kgpm.pictures import drawing
    from kgpm.pictures import image_rows

    model, images = open_run(values)
    batch = next(iter(evaluation_batches(values, images, batch_size=1)))
    present = np.asarray(batch["weights"])[0] > 0
    written = np.asarray(batch["images"])[0][present]
    write_seed, sample_seed = ops.split_seed(values.seed, 2)
    episode = written.repeat(values.repeat_written, axis=0)[None]
    steps = model.generate(
        write_memory(model, episode, seed=write_seed),
        num_samples=values.num_samples,
        num_steps=values.num_steps,
        seed=sample_seed,
        threshold=values.threshold,
    )
    layout = image_rows.generation(
        np.asarray(steps)[0], written, binary=is_binary(model)
    )
    path = Path(values.output or Path(values.model_dir) / "generate.png")
    times = f", each {values.repeat_written} times"
    shown = "written" if model.memory.stores else "beside (no memory)"
    drawing.sheet(
        path=path,
        title=(
            f"{len(written)} images of {images.label} {shown}"
            f"{times if values.repeat_written > 1 else ''}; left: distance of "
            "the last step from the nearest of them"
        ),
        **layout,
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(
        run(
            "kgpm.generate",
            main,
            define_flags,
            __doc__,
            check=apply_run_flags,
        )
    )
