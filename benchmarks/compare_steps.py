"""Training steps of several models with the same encoder and decoder.

    python -m benchmarks.compare_steps --models kpp dkm

Median times of steps that take turns, and their ratio to the first model's.
Models whose loss has the autoencoder term are also timed without it: with it
they decode twice. The images are noise of the right kind.
"""

import argparse
import statistics
import time
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.cli import flags  # noqa: E402
from kgpm.cli.main import training_flags  # noqa: E402
from kgpm.cli.parts import make_model  # noqa: E402

_AUTOENCODER = "autoencoder_weight"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    # Those that take their networks by name.
    choices = list(flags.row("encoder").defaults)
    add("--models", nargs="+", default=("kpp", "dkm"), choices=choices)
    add("--batch_size", type=int, default=32, help="episodes")
    add("--episode_length", type=int, default=32, help="images")
    add("--image_size", type=int, default=28, help="pixels")
    add("--encoder", default="tsm_resnet", choices=flags.row("encoder").kind)
    add("--decoder", default="transposed", choices=flags.row("decoder").kind)
    add("--width", type=int, default=64, help="channels of the networks")
    add("--repeats", type=int, default=5, help="timed steps of each")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch_size, arguments.repeats, arguments.width = 2, 2, 8
    return arguments


def variants(arguments: argparse.Namespace) -> dict[str, Any]:
    """Name -> model: each one, and each without its autoencoder term."""
    size = arguments.image_size
    made = {}
    for name in arguments.models:
        given = [
            "--model_dir=unused",
            f"--model={name}",
            f"--encoder={arguments.encoder}",
            f"--decoder={arguments.decoder}",
            f"--width={arguments.width}",
        ]
        made[name] = make_model(training_flags(*given), (size, size, 1))
        if flags.row(_AUTOENCODER).defaults.get(name):
            given.append(f"--{_AUTOENCODER}=0")
            label = f"{name}, no autoencoder term"
            made[label] = make_model(training_flags(*given), (size, size, 1))
    return made


def main() -> None:
    arguments = parse_arguments()
    keras.utils.set_random_seed(0)
    size = arguments.image_size
    shape = [arguments.batch_size, arguments.episode_length, size, size, 1]
    noise = tf.random.stateless_uniform(shape, seed=[0, 0])
    data = {"images": tf.round(noise), "weights": tf.ones(shape[:2])}
    made = variants(arguments)
    steps = {}
    for name, model in made.items():
        model.compile(keras.optimizers.AdamW(3e-4, global_clipnorm=10.0))
        steps[name] = tf.function(lambda model=model: model.train_step(data))
        timing.seconds(steps[name], repeats=1, warmup=1)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            for tensor in tf.nest.flatten(step()):
                tensor.numpy()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(each) for name, each in times.items()}
    first = next(iter(median.values()))
    print(
        f"{size}x{size}x1, B={shape[0]}, T={shape[1]}, {arguments.encoder}, "
        f"{arguments.decoder}, width={arguments.width}\n"
    )
    timing.print_table(
        ("model", "parameters", "ms a step", f"ratio to {next(iter(made))}"),
        [
            (
                name,
                f"{made[name].count_params():,}",
                f"{1e3 * value:.0f}",
                f"{value / first:.2f}",
            )
            for name, value in median.items()
        ],
    )
    print(f"Peak memory: {timing.peak_memory():.0f} MB")


if __name__ == "__main__":
    main()
