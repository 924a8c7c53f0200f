"""Time of writing and reading the memory alone, for each solver.

    python -m benchmarks.memory_ops

One write of T codes and one read of the same T, in float32, B episodes at
once, and the same with gradients where --gradients asks. The sequential
(Kalman) write takes the codes one after the other. A last table compares the
memories: GPM's, that of the Dynamic Kanerva Machine, and that of the Kanerva
Machine, whose exact write is one solve or, as an oracle, T updates. Then the
memory of Kanerva++ beside the encoder of the same images.
"""

import argparse
from collections.abc import Callable
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.layers import BlockMemory  # noqa: E402
from kgpm.layers import DynamicKanervaMemory  # noqa: E402
from kgpm.layers import KanervaMemory  # noqa: E402
from kgpm.layers import PseudoInverseMemory  # noqa: E402
from kgpm.layers import SequentialMemory  # noqa: E402
from kgpm.layers import TemporalShiftResNet  # noqa: E402
from kgpm.models import GPM  # noqa: E402
from kgpm.ops import SOLVERS  # noqa: E402
from kgpm.ops import batch_write  # noqa: E402
from kgpm.ops import sequential_write  # noqa: E402

LENGTHS = (16, 32, 64, 128, 256, 512, 1024)
SIZES = (32, 64, 128, 256, 512)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--batch_size", type=int, default=32, help="episodes")
    add("--solvers", nargs="+", default=SOLVERS, choices=SOLVERS)
    add("--lengths", type=int, nargs="+", default=LENGTHS, help="T at K=32")
    add("--sizes", type=int, nargs="+", default=SIZES, help="K at T=32")
    add("--repeats", type=int, default=20, help="timed calls")
    add("--gradients", action="store_true", help="forward and backward")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch_size, arguments.repeats = 2, 2
        arguments.lengths, arguments.sizes = (16, 32), (32, 64)
    return arguments


def write_read_seconds(
    arguments: argparse.Namespace, layer: Any, length: int
) -> float:
    """Median time of `read(codes, write(codes))`, gradients included."""
    layer.build()
    return seconds(
        arguments,
        lambda codes: layer.read(codes, layer.write(codes, seed=1)),
        noise(arguments, length, layer.code_size),
    )


def seconds(
    arguments: argparse.Namespace, function: Any, inputs: tf.Tensor
) -> float:
    """Median time of a function of one tensor, its gradient included."""

    @tf.function
    def run() -> tf.Tensor:
        if not arguments.gradients:
            return function(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(function(inputs)))
        return tape.gradient(loss, inputs)

    return timing.seconds(run, arguments.repeats)


def noise(
    arguments: argparse.Namespace, length: int, size: int, seed: int = 0
) -> tf.Tensor:
    """Standard normal codes `[B, length, size]`."""
    shape = [arguments.batch_size, length, size]
    return tf.random.stateless_normal(shape, seed=[seed, 0])


def step_seconds(arguments: argparse.Namespace) -> float:
    """Median time of a full training step of the reference GPM at T=32."""
    model = GPM()
    model.compile("adamw")
    shape = [arguments.batch_size, 32, *model.image_shape]
    noise = tf.random.stateless_uniform(shape, seed=[0, 0])
    data = {"images": tf.round(noise), "weights": tf.ones(shape[:2])}
    step = tf.function(lambda: model.train_step(data))
    return timing.seconds(step, arguments.repeats)


def code_size(memory_size: int) -> int:
    """C of the reference GPM, or enough for a memory to compress."""
    return max(100, 2 * memory_size)


def measure(
    arguments: argparse.Namespace,
    title: str,
    cases: list[tuple[int, int]],
    step: float,
) -> None:
    """Prints a table with a row for each (T, K).

    The share is that of the time an image takes in a training step of `step`
    seconds at T=32.
    """
    rows = []
    for length, memory_size in cases:
        size = code_size(memory_size)
        direct = [
            write_read_seconds(
                arguments,
                PseudoInverseMemory(memory_size, size, solver=solver),
                length,
            )
            for solver in arguments.solvers
        ]
        sequential = write_read_seconds(
            arguments, SequentialMemory(memory_size, size), length
        )
        per_image = direct[0] / length
        rows.append(
            (
                str(length),
                str(memory_size),
                str(size),
                *(f"{1e3 * value:.2f}" for value in direct),
                f"{1e3 * sequential:.2f}",
                f"{sequential / direct[0]:.0f}x",
                f"{per_image / (step / 32):.1%}",
            )
        )
    print(
        f"{title}; write+read of B={arguments.batch_size} episodes, ms; "
        f"{'forward and backward' if arguments.gradients else 'forward'}\n"
        f"A training step of the reference GPM at T=32, K=32, C=100 takes "
        f"{1e3 * step:.0f} ms.\n"
    )
    header = ("T", "K", "C", *arguments.solvers, "sequential")
    first = arguments.solvers[0]
    timing.print_table(
        (*header, f"sequential/{first}", f"{first}, share of a step"), rows
    )


def exact_write_seconds(
    arguments: argparse.Namespace,
    layer: KanervaMemory,
    write: Callable,
    length: int,
) -> float:
    """Median time of one form of the write at given addresses."""
    # The prior as each form takes it: one for all episodes with its
    # precision, or one for each with its covariance. Both are I.
    prior = layer.prior(arguments.batch_size)
    mean, spread = prior["mean"], prior["covariance"]
    if write is batch_write:
        mean, spread = mean[0], spread[0]
    addresses = noise(arguments, length, layer.memory_size, seed=1)
    weights = tf.ones([arguments.batch_size, length])

    def write_all(codes: tf.Tensor) -> tf.Tensor:
        return write(codes, addresses, weights, mean, spread, 1.0)[0]

    codes = noise(arguments, length, layer.code_size)
    return seconds(arguments, write_all, codes)


def measure_memories(arguments: argparse.Namespace) -> None:
    """Prints write+read of each memory, and the exact write in both forms."""
    rows = []
    for length in arguments.lengths:
        layers = (
            PseudoInverseMemory(32, 100),
            DynamicKanervaMemory(32, 100),
            KanervaMemory(32, 100),
        )
        times = [write_read_seconds(arguments, each, length) for each in layers]
        forms = [
            exact_write_seconds(arguments, layers[-1], write, length)
            for write in (batch_write, sequential_write)
        ]
        rows.append(
            (
                str(length),
                *(f"{1e3 * value:.2f}" for value in times + forms),
                f"{forms[1] / forms[0]:.0f}x",
            )
        )
    print(
        "Memories at K=32, C=100: write+read, and the exact write alone; "
        f"B={arguments.batch_size} episodes, ms\n"
    )
    timing.print_table(
        (
            "T",
            "gpm",
            "dkm",
            "km",
            "batch write",
            "sequential write",
            "sequential/batch",
        ),
        rows,
    )


def measure_blocks(arguments: argparse.Namespace) -> None:
    """Prints write and read of Kanerva++'s memory beside its encoder."""
    encoder = TemporalShiftResNet((28, 28, 1))
    encoder.build()
    memory = BlockMemory(encoder.code_size, latent_size=100)
    memory.build()
    length = 32
    shape = [arguments.batch_size, length, *encoder.image_shape]
    images = tf.random.stateless_uniform(shape, seed=[0, 0])
    codes = noise(arguments, length, encoder.code_size)
    keys = tf.random.stateless_normal([*shape[:2], memory.num_reads, 3], [1, 0])
    cells = memory.write(codes)["cells"]
    parts = {
        "encoder (TSM-ResNet18)": (encoder, images),
        "write": (lambda x: memory.write(x)["cells"], codes),
        "read of the windows": (
            lambda x: memory.traces({"cells": cells}, x),
            keys,
        ),
        "windows to the prior": (
            lambda x: memory.latent_prior({"cells": cells}, x).mean,
            keys,
        ),
    }
    times = {
        name: seconds(arguments, function, inputs)
        for name, (function, inputs) in parts.items()
    }
    whole = next(iter(times.values()))
    print(
        f"Kanerva++ as published: {shape[0] * length:,} images of 28x28, "
        f"K={memory.num_reads} windows of 32x32 in 64x64x3 cells\n"
    )
    timing.print_table(
        ("part", "ms", "share of the encoder"),
        [
            (name, f"{1e3 * value:.1f}", f"{value / whole:.1%}")
            for name, value in times.items()
        ],
    )


def main() -> None:
    arguments = parse_arguments()
    step = step_seconds(arguments)
    measure(
        arguments,
        "Episode length at K=32",
        [(length, 32) for length in arguments.lengths],
        step,
    )
    measure(
        arguments,
        "Memory size at T=32",
        [(32, size) for size in arguments.sizes],
        step,
    )
    measure_memories(arguments)
    measure_blocks(arguments)
    print(f"Peak memory: {timing.peak_memory():.0f} MB")


if __name__ == "__main__":
    main()
