"""How the time of a served call grows with T, K, queries and steps.

    python -m benchmarks.serving_growth

One episode a request, GPM of 28x28 images with 16 channels; each signature as
it is exported, in this process. The images are noise.
"""

import argparse
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.models import GPM  # noqa: E402
from kgpm.serving.export.signatures import Signatures  # noqa: E402

_LENGTHS = (8, 32, 128, 512)
# K and C, which must be more.
_SIZES = ((32, 100), (128, 256), (512, 1024))
_QUERIES = (1, 8, 64)
_STEPS = (1, 10, 50)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--image_size", type=int, default=28, help="pixels")
    add("--repeats", type=int, default=9, help="timed calls")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.image_size, arguments.repeats = 8, 1
    return arguments


def functions(
    memory_size: int, code_size: int, arguments: argparse.Namespace
) -> dict:
    size = arguments.image_size
    model = GPM(
        image_shape=(size, size, 1),
        memory_size=memory_size,
        code_size=code_size,
        width=16,
    )
    return {
        name: tf.function(
            signature.positional,
            input_signature=signature.inputs,
            autograph=False,
        )
        for name, signature in Signatures(model).all().items()
    }


def images(count: int, arguments: argparse.Namespace) -> Any:
    size = arguments.image_size
    shape = [1, count, size, size, 1]
    return tf.round(tf.random.stateless_uniform(shape, seed=[0, 0]))


def main() -> None:
    arguments = parse_arguments()

    def milliseconds(function: Any) -> str:
        return f"{1e3 * timing.seconds(function, arguments.repeats):,.1f}"

    written, read = [], []
    for size, code_size in _SIZES:
        served = functions(size, code_size, arguments)
        name = f"{size}, {code_size}"
        write, denoise = served["write"], served["denoise"]
        cells = []
        for length in _LENGTHS:
            episode = images(length, arguments)
            cells.append(milliseconds(lambda e=episode, w=write: w(e)))
        written.append((name, *cells))
        memory = write(images(_LENGTHS[1], arguments))
        cells = []
        for queries in _QUERIES:
            query = images(queries, arguments)
            for steps in _STEPS:
                inputs = (query, memory["memory_id"], memory["memory_mean"])
                cells.append(
                    milliseconds(
                        lambda i=inputs, s=steps, d=denoise: d(
                            *i, tf.constant(s)
                        )
                    )
                )
        read.append((name, *cells))
    print("write, ms for one episode:\n")
    timing.print_table(
        ("K, C", *(f"T = {length}" for length in _LENGTHS)), written
    )
    print("\ndenoise, ms for one episode:\n")
    headings = [f"Q = {q}, {s} steps" for q in _QUERIES for s in _STEPS]
    timing.print_table(("K, C", *headings), read)


if __name__ == "__main__":
    main()
