"""Training of GPM here against the published one in plain PyTorch.

    python -m benchmarks.published

Both take turns, each in a process of its own so that their threads do not
meet: images of 28x28, episodes of 32, K = 32, C = 100, 16 channels, float32.
The published networks are those of `benchmarks.torch_gpm`, with the layout that
PyTorch has by default and with the one that TensorFlow has, which is faster;
this package's are its defaults. Then what a step's convolutions
cost alone, one after the other with their gradients: what a step cannot be
faster than unless they are. `ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2`
before the command leaves both sides the instructions of a smaller processor.

Needs PyTorch, which `pip install '.[benchmarks]'` brings.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks import processor

SIDES = {
    "published, PyTorch": ["benchmarks.torch_gpm"],
    "published, PyTorch, channels last": [
        "benchmarks.torch_gpm",
        "--channels_last",
    ],
    "kgpm": ["benchmarks.published", "--steps"],
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--batch_size", type=int, default=32, help="episodes of 32 images")
    add("--repeats", type=int, default=10, help="timed steps of a turn")
    add("--turns", type=int, default=3, help="of each side")
    add("--steps", action="store_true", help="one turn of this package")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch_size, arguments.repeats, arguments.turns = 1, 2, 1
    return arguments


def turn(module: list[str], arguments: argparse.Namespace) -> list[float]:
    """Milliseconds of the steps of one process."""
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            *module,
            f"--batch_size={arguments.batch_size}",
            f"--repeats={arguments.repeats}",
        ],
        capture_output=True,
        text=True,
    )
    if result.returncode:
        last = result.stderr.strip().splitlines()[-1:]
        sys.exit(f"python -m {' '.join(module)} failed: {' '.join(last)}")
    return [float(line) for line in result.stdout.split()]


def print_steps(arguments: argparse.Namespace) -> None:
    """Prints milliseconds of this package's steps, a line each."""
    from kgpm.cli import quiet

    quiet.import_tensorflow()
    import keras
    import tensorflow as tf

    from kgpm.models import GPM

    model = GPM()
    model.compile(keras.optimizers.AdamW(3e-4, global_clipnorm=10.0))
    shape = [arguments.batch_size, 32, *model.image_shape]
    noise = tf.random.stateless_uniform(shape, seed=[0, 0])
    data = {"images": tf.round(noise), "weights": tf.ones(shape[:2])}
    step = tf.function(lambda: model.train_step(data))
    for index in range(3 + arguments.repeats):
        start = time.perf_counter()
        step()["loss"].numpy()
        if index >= 3:
            print(f"{1e3 * (time.perf_counter() - start):.1f}", flush=True)


def convolutions(chain: list, shape: tuple) -> Iterator[tuple[Any, tuple]]:
    """The convolutions of a network, each with the shape of its inputs."""
    for layer in chain:
        if hasattr(layer, "chain"):
            yield from convolutions(layer.chain, shape)
        elif hasattr(layer, "kernel") and len(shape) == 4:
            yield layer, shape
        shape = layer.compute_output_shape(shape)


def convolution_seconds(arguments: argparse.Namespace) -> float:
    """Time of a step's convolutions and of their gradients, each alone."""
    from kgpm.cli import quiet

    quiet.import_tensorflow()
    import tensorflow as tf

    from benchmarks import timing
    from kgpm.models import GPM

    model = GPM()
    # A step decodes latents and, beside the bound, codes.
    layers = [
        *convolutions(model.encoder.chain, (None, *model.image_shape)),
        *2
        * [*convolutions(model.decoder.chain, (None, model.memory.code_size))],
    ]
    total, known = 0.0, {}
    for index, (layer, shape) in enumerate(layers):
        if id(layer) not in known:
            inputs = tf.random.normal([32 * arguments.batch_size, *shape[1:]])
            # The images themselves need no gradient.
            sources = [layer.kernel.value, *[inputs] * (index > 0)]
            gradients = tf.function(partial(_gradients, layer, inputs, sources))
            known[id(layer)] = timing.seconds(gradients, arguments.repeats)
        total += known[id(layer)]
    return total


def _gradients(layer: Any, inputs: Any, sources: list) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = layer(inputs)
    # One number of each, so that no copy is timed; of the outputs too, which
    # TensorFlow would else leave out.
    return [
        tf.reshape(each, [-1])[0]
        for each in (outputs, *tape.gradient(outputs, sources))
    ]


def main() -> None:
    arguments = parse_arguments()
    if arguments.steps:
        print_steps(arguments)
        return
    print(f"{processor.name()}; B={arguments.batch_size}, T=32\n", flush=True)
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(arguments.turns):
        for side, module in SIDES.items():
            times[side] += turn(module, arguments)
    medians = {side: statistics.median(t) for side, t in times.items()}
    medians["kgpm's convolutions alone"] = 1e3 * convolution_seconds(arguments)
    images = 32e3 * arguments.batch_size
    first = next(iter(medians.values()))

    from benchmarks import timing

    timing.print_table(
        ("", "ms a step", "images/s", "times the first"),
        [
            (side, f"{ms:.0f}", f"{images / ms:,.0f}", f"{first / ms:.2f}")
            for side, ms in medians.items()
        ],
    )


if __name__ == "__main__":
    main()
