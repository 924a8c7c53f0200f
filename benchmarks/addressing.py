"""What training and scoring Variational Memory Addressing cost.

    python -m benchmarks.addressing

For each config: images a second in training, every image of an episode a
target, and the time of ELBO@1000 of an image, its memory encoded once, as a
multiple of its share of a training step. The images are noise.
"""

import argparse

from kgpm.cli import quiet

quiet.import_tensorflow()

import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.cli.main import training_flags  # noqa: E402
from kgpm.cli.parts import make_model  # noqa: E402
from kgpm.evaluation import importance_weighted_bounds  # noqa: E402

CONFIGS = ("configs/vma_omniglot.cfg", "configs/vma_omniglot_cpu.cfg")
_SAMPLES = 1000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--configs", nargs="+", default=CONFIGS, help="flag files")
    add("--image_size", type=int, default=26, help="pixels")
    add("--samples", type=int, default=20, help="timed samples of the bound")
    add("--repeats", type=int, default=5, help="timed calls")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.image_size, arguments.samples, arguments.repeats = 8, 2, 2
        arguments.configs = CONFIGS[1:]
    return arguments


def row(path: str, arguments: argparse.Namespace) -> tuple[str, ...]:
    values = training_flags(f"--flagfile={path}", "--model_dir=unused")
    size = arguments.image_size
    model = make_model(values, (size, size, 1))
    model.compile("adam")
    shape = [values.batch_size, values.episode_length, size, size, 1]
    images = tf.round(tf.random.stateless_uniform(shape, seed=[0, 0]))
    data = {"images": images, "weights": tf.ones(shape[:2])}
    count = shape[0] * shape[1]
    step = timing.seconds(
        tf.function(lambda: model.train_step(data)), arguments.repeats
    )
    memory = model.write(images)
    score = timing.seconds(
        tf.function(
            lambda: importance_weighted_bounds(
                model, images, memory, arguments.samples
            )
        ),
        arguments.repeats,
    )
    bound = score * _SAMPLES / arguments.samples
    return (
        path,
        f"{model.count_params():,}",
        f"{shape[0]} x {shape[1]}",
        f"{1e3 * step:,.0f}",
        f"{count / step:,.0f}",
        f"{1e3 * bound / count:,.0f}",
        f"{bound / step:,.0f}x",
    )


def main() -> None:
    arguments = parse_arguments()
    timing.print_table(
        (
            "config",
            "parameters",
            "B x T",
            "ms a step",
            "images/s",
            "ms of ELBO@1000 an image",
            "to its share of a step",
        ),
        [row(path, arguments) for path in arguments.configs],
    )


if __name__ == "__main__":
    main()
