"""Time of writing and reading the memory alone, for each solver.

    python -m benchmarks.memory_ops

One write of T codes and one read of the same T, in float32, B episodes at
once, and the same with gradients where --gradients asks. The sequential
(Kalman) write takes the codes one after the other.
"""

import argparse
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.layers import PseudoInverseMemory  # noqa: E402
from kgpm.models import GPM  # noqa: E402
from kgpm.ops import SOLVERS  # noqa: E402

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
    arguments: argparse.Namespace,
    length: int,
    memory_size: int,
    code_size: int,
    **options: Any,
) -> float:
    """Median time of `read(codes, write(codes))`, gradients included."""
    layer = PseudoInverseMemory(memory_size, code_size, **options)
    layer.build()
    codes = tf.random.stateless_normal(
        [arguments.batch_size, length, code_size], seed=[0, 0]
    )

    @tf.function
    def write_read() -> tuple:
        if not arguments.gradients:
            return layer.read(codes, layer.write(codes))
        with tf.GradientTape() as tape:
            tape.watch(codes)
            loss = tf.reduce_mean(
                tf.square(layer.read(codes, layer.write(codes)))
            )
        return tape.gradient(loss, codes)

    return timing.seconds(write_read, arguments.repeats)


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
                arguments, length, memory_size, size, solver=solver
            )
            for solver in arguments.solvers
        ]
        sequential = write_read_seconds(
            arguments, length, memory_size, size, writer="sequential"
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
    print(f"Peak memory: {timing.peak_memory():.0f} MB")


if __name__ == "__main__":
    main()
