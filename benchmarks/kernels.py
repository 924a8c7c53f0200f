"""What each kernel that is written for a CPU gains, against Keras's own.

    python -m benchmarks.kernels

Training steps of GPM that take turns: with the kernels for a CPU, with Keras's
own in place of each in turn, and with Keras's own alone. A gain is the median
of a pair's difference over the step's time; processor time beside it moves less
with what else the machine does. `ONEDNN_MAX_CPU_ISA=AVX2` before the command
leaves oneDNN the instructions of a smaller processor.
"""

import argparse
import contextlib
import statistics
import time
from typing import Any
from unittest import mock

from kgpm.cli import quiet

quiet.import_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm import ops  # noqa: E402
from kgpm.layers.networks import blocks  # noqa: E402
from kgpm.models import GPM  # noqa: E402

LAYERS = {
    "group normalisation": blocks.GroupNormalization,
    "transposed convolution": blocks.TransposedConvolution,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--batch_size", type=int, default=32, help="episodes of 32 images")
    add("--width", type=int, default=16, help="channels of the networks")
    add("--jit_compile", action="store_true", help="steps compiled by XLA")
    add("--dtype_policy", default="float32")
    add("--repeats", type=int, default=25, help="timed steps of each")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch_size, arguments.repeats = 1, 2
    return arguments


@contextlib.contextmanager
def keras_in_place_of(layer: Any) -> Any:
    """Traces one kind of layer with Keras's kernel, the others with ours."""
    own = layer.call

    def call(self: Any, inputs: Any) -> Any:
        with mock.patch.object(blocks, "written_for_cpu", lambda: False):
            return own(self, inputs)

    with mock.patch.object(layer, "call", call):
        yield


def make_step(arguments: argparse.Namespace) -> Any:
    model = GPM(width=arguments.width)
    model.compile(keras.optimizers.AdamW(3e-4, global_clipnorm=10.0))
    shape = [arguments.batch_size, 32, *model.image_shape]
    noise = tf.random.stateless_uniform(shape, seed=[0, 0])
    data = {"images": tf.round(noise), "weights": tf.ones(shape[:2])}
    step = tf.function(
        lambda: model.train_step(data), jit_compile=arguments.jit_compile
    )
    for _ in range(2):
        step()
    return step


def main() -> None:
    arguments = parse_arguments()
    keras.config.set_dtype_policy(arguments.dtype_policy)
    ops.choose_kernels("cpu")
    steps = {"written for a CPU": make_step(arguments)}
    for name, layer in LAYERS.items():
        with keras_in_place_of(layer):
            steps[f"Keras's {name}"] = make_step(arguments)
    ops.choose_kernels("keras")
    steps["Keras's own"] = make_step(arguments)
    ops.choose_kernels("auto")
    times: dict[str, list] = {name: [] for name in steps}
    for _ in range(arguments.repeats):
        for name, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            [value.numpy() for value in tf.nest.flatten(step())]
            times[name].append(
                (
                    time.perf_counter() - wall,
                    time.process_time() - processor,
                )
            )
    first = next(iter(times.values()))

    def slower(name: str, clock: int) -> str:
        pairs = zip(times[name], first, strict=True)
        ratios = [mine[clock] / ours[clock] for mine, ours in pairs]
        return f"{statistics.median(ratios) - 1.0:+.1%}"

    timing.print_table(
        ("kernels", "ms a step", "slower by", "processor time"),
        [
            (
                name,
                f"{1e3 * statistics.median(t[0] for t in times[name]):.0f}",
                slower(name, 0),
                slower(name, 1),
            )
            for name in steps
        ],
    )


if __name__ == "__main__":
    main()
