"""Memories of many rows: time, accuracy, and what does not fit.

    python -m benchmarks.memory_scale

Write and read of the memory of GPM by its own solver, by that of the published
code (`solver="reference"`), and by `numpy.linalg.pinv` in float32; what they
are off at memories of known condition; what a training step does with the
memory; and slots: reads, draws, an update and a forgetting of 32 images.

A cell that would need more memory than --memory_gb is printed as what it
needs, in GB, and one that would take longer than --longest (six times that for
our own solver), going by the rate of the cell before it, as that many seconds
in brackets. Neither is run.
"""

import argparse
import gc
import time
from collections.abc import Callable
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.layers import PseudoInverseMemory  # noqa: E402
from kgpm.layers import SlotMemory  # noqa: E402
from kgpm.ops import pseudo_inverse  # noqa: E402

# T and K.
CELLS = (
    (32, 32),
    (1024, 32),
    (24576, 32),
    (32, 128),
    (1024, 128),
    (24576, 128),
    (32, 512),
    (1024, 512),
    (24576, 512),
    (32, 2048),
    (4096, 2048),
    (32, 4096),
    (24576, 4096),
)
METHODS = ("ours", "published", "numpy")
CONDITIONS = (1e1, 1e2, 1e3, 1e4, 1e5)
SLOTS = (1_000, 10_000, 100_000)
CHANGED = 32
# Of a float64 number against a float32 one, where both are computed on.
DOUBLE = 4


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--batch_sizes", type=int, nargs="+", default=(1, 32), help="episodes")
    add("--largest", type=int, default=4096, help="K at most")
    add("--longest", type=float, default=10.0, help="seconds of one call")
    add("--memory_gb", type=float, default=20.0, help="of this machine")
    add("--repeats", type=int, default=3, help="timed calls")
    add("--slots", type=int, nargs="+", default=SLOTS, help="K of slots")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch_sizes, arguments.repeats = (2,), 1
        arguments.largest, arguments.slots = 32, (100,)
    return arguments


def code_size(memory_size: int) -> int:
    """C of the reference GPM, or enough for a memory to compress."""
    return max(100, 2 * memory_size)


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed=[seed, 0])


class Clock:
    """Times calls, and predicts those that are too long to be made."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.rates: dict[str, float] = {}

    def milliseconds(
        self,
        name: str,
        work: float,
        gigabytes: float,
        call: Callable,
        patience: float = 1.0,
    ) -> float | str:
        """Of a call of so much work, or why it is not made."""
        if gigabytes > self.arguments.memory_gb:
            return f"{gigabytes:.0f} GB"
        expected = work / self.rates.get(name, float("inf"))
        if expected > patience * self.arguments.longest:
            return f"({expected:.0f} s)"
        gc.collect()
        # The first call traces, which does not count in one that is long.
        duration = timing.seconds(call, 1, 0)
        if duration < 5.0:
            duration = timing.seconds(call, self.arguments.repeats, 0)
        self.rates[name] = work / duration
        return 1e3 * duration


def shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.1f}" if value < 100.0 else f"{value:,.0f}"


def ratio(value: float | str, base: float | str) -> str:
    if isinstance(value, str) or isinstance(base, str):
        return ""
    return f"{value / base:.1f}"


def work_of(method: str, length: int, rows: int, size: int) -> float:
    """Operations of a write and a read, about."""
    short, long = min(length, rows), max(length, rows)
    products = 8.0 * length * rows * size
    if method == "ours":
        inverse = 8.0 * rows**2 * size + 7.0 * rows**3
        read = inverse if 2 * length > rows else 3.0 * rows**2 * size
        return products + inverse + read + 2.0 * DOUBLE * short**2 * long
    inverses = 2.0 * rows**2 * size + short**2 * long
    return products + {"published": 28.0, "numpy": 20.0}[method] * inverses


def gigabytes_of(batch: int, length: int, rows: int, size: int) -> float:
    """What the arrays of a write and a read hold at once, about."""
    codes, addresses = length * size, length * rows
    memory, squares = rows * size, rows**2
    # Codes, keys and read-outs; addresses in both precisions, and whitened.
    numbers = 3 * codes + 9 * addresses + 5 * memory + 6 * squares
    return 4e-9 * batch * numbers


def by_numpy(codes: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Write and read as their formulas say."""
    address = codes @ np.linalg.pinv(prior)
    memory = np.linalg.pinv(address) @ codes
    return codes @ np.linalg.pinv(memory) @ memory


def write_and_read(arguments: argparse.Namespace, clock: Clock) -> None:
    rows = []
    cells = [each for each in CELLS if each[1] <= arguments.largest]
    for batch in arguments.batch_sizes:
        for length, size in cells:
            columns = code_size(size)
            found = {}
            for method in METHODS:
                found[method] = clock.milliseconds(
                    f"{method} {size > 128}",
                    batch * work_of(method, length, size, columns),
                    gigabytes_of(batch, length, size, columns),
                    call_of(method, batch, length, size),
                    patience=6.0 if method == "ours" else 1.0,
                )
            rows.append(
                (
                    str(length),
                    str(size),
                    str(columns),
                    str(batch),
                    *(shown(found[each]) for each in METHODS),
                    *(
                        ratio(found[each], found["ours"])
                        for each in METHODS[1:]
                    ),
                )
            )
    print("Write and mean read of T codes, forward, ms\n")
    header = ("T", "K", "C", "B", *METHODS, "publ./ours", "numpy/ours")
    timing.print_table(header, rows)


def call_of(method: str, batch: int, length: int, size: int) -> Callable:
    """Write and read of codes that are made when it is first called."""
    made: list = []

    def call() -> Any:
        if not made:
            codes = normal(batch, length, code_size(size))
            solver = "reference" if method == "published" else "ridge"
            layer = PseudoInverseMemory(size, code_size(size), solver=solver)
            layer.build()
            if method == "numpy":
                prior = layer.memory_mean.numpy()
                made.append(lambda: by_numpy(codes.numpy(), prior)[0, 0, 0])
            else:
                traced = tf.function(
                    lambda codes: layer.read(codes, layer.write(codes))[0, 0, 0]
                ).get_concrete_function(codes)
                made.append(lambda: traced(codes))
        return tf.convert_to_tensor(made[0]())

    return call


def off(value: Any, expected: np.ndarray) -> str:
    value = np.float64(value)
    error = np.linalg.norm(value - expected) / np.linalg.norm(expected)
    return f"{error:.0e}"


def accuracy(arguments: argparse.Namespace) -> None:
    size, columns = (512, 1024) if arguments.largest >= 512 else (160, 320)
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.normal(size=(size, size)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, size)))[0]
    queries = rng.normal(size=(32, columns))
    spectra = {
        f"{each:.0e}": np.geomspace(1.0, 1.0 / each, size)
        for each in CONDITIONS
    }
    spectra["rank 32"] = np.append(
        np.geomspace(1.0, 0.1, 32), np.zeros(size - 32)
    )
    rows = []
    for name, values in spectra.items():
        # Scaled so that the published solver converges at all.
        matrix = (30.0 * (left * values) @ right.T).astype(np.float32)
        double = matrix.astype(np.float64)
        u, s, vt = np.linalg.svd(double, full_matrices=False)
        keep = s > 1e-6 * s[0]
        exact = (vt[keep].T / s[keep]) @ u[:, keep].T
        ridge = 1e-5 * np.sum(np.square(s))
        share = 1.0 - (ridge / (np.square(s) + ridge)) ** 4
        inverses = {
            "ours": pseudo_inverse(tf.constant(matrix)),
            "float64": (vt.T * (share / s)) @ u.T,
            "published": pseudo_inverse(tf.constant(matrix), "reference"),
            "numpy": np.linalg.pinv(matrix),
        }
        expected = queries @ exact @ double
        read = {
            each: queries @ np.float64(value) @ double
            for each, value in inverses.items()
        }
        rows.append(
            (
                name,
                *(off(value, exact) for value in inverses.values()),
                off(read["ours"], read["float64"]),
                *(off(value, expected) for value in read.values()),
            )
        )
    print(
        f"Relative error of M^+ and of z M^+ M for M of {size} x {columns} in "
        'float32, against\nfloat64. "f64" is our filter, exactly, and '
        '"filter" how far ours is from it.\n'
    )
    timing.print_table(
        (
            "condition",
            "M^+: ours",
            "f64",
            "publ.",
            "numpy",
            "read: filter",
            "ours",
            "f64",
            "publ.",
            "numpy",
        ),
        rows,
    )


def training(arguments: argparse.Namespace, clock: Clock) -> None:
    rows = []
    largest = max(arguments.batch_sizes)
    for length, size in ((32, 32), (32, 128), (32, 512), (1024, 512)):
        if size > arguments.largest:
            continue
        batch = largest if length == 32 else min(largest, 8)
        columns = code_size(size)
        layer = PseudoInverseMemory(size, columns)
        layer.build()
        codes = normal(batch, length, columns)

        def loss(codes: tf.Tensor, layer: PseudoInverseMemory) -> tf.Tensor:
            memory = layer.write(codes, seed=1, training=True)
            draw = layer.sample(codes, memory, 2, training=True)
            return tf.reduce_sum(draw.kl["kl_w"]) + tf.reduce_sum(
                tf.square(draw.latents)
            )

        def gradients(codes: tf.Tensor, layer: PseudoInverseMemory) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(codes)
                value = loss(codes, layer)
            return [
                tf.reduce_sum(each)
                for each in tape.gradient(value, [codes, *layer.weights])
            ]

        times = []
        for name, function in (("draw", loss), ("gradient", gradients)):
            traced = tf.function(function)
            times.append(
                clock.milliseconds(
                    f"{name} {size > 128}",
                    3.0 * batch * work_of("ours", length, size, columns),
                    3.0 * gigabytes_of(batch, length, size, columns),
                    lambda run=traced, z=codes, m=layer: run(z, m),
                )
            )
        sizes = map(str, (length, size, columns, batch))
        rows.append((*sizes, *map(shown, times)))
    print("In training: write and draw of the bound, ms\n")
    timing.print_table(("T", "K", "C", "B", "forward", "with gradients"), rows)


def slots(arguments: argparse.Namespace, clock: Clock) -> None:
    rows = []
    for size in arguments.slots:
        columns = code_size(32)
        codes = normal(1, size // 2, columns)
        queries, new = codes[:, :32], normal(1, CHANGED, columns, seed=1)
        softmax = SlotMemory(size, columns, read="softmax")
        categorical = SlotMemory(size, columns, read="categorical")
        for layer in (softmax, categorical):
            layer.build()
        memory = softmax.write(codes)
        sums = memory["mean"] * memory["count"][..., None]
        statistics = tf.concat([memory["count"][..., None], sums], axis=-1)
        statistics = tf.cast(statistics, tf.float64)
        pairs, once = float(size) ** 2, float(size)
        cells = {
            "read": (once, softmax.read, (queries, memory)),
            "read, cat.": (once, categorical.read, (queries, memory)),
            "draw": (once, draw_of(softmax), (queries, memory)),
            "draw, cat.": (pairs, draw_of(categorical), (queries, memory)),
            "update": (once, softmax.accumulate, (new, statistics)),
            "forget": (once, softmax.remove, (queries, statistics)),
        }
        times = {}
        for name, (work, function, inputs) in cells.items():
            traced = tf.function(function)
            times[name] = clock.milliseconds(
                name, work, 0.0, lambda run=traced, x=inputs: run(*x)
            )
        rows.append(
            (
                f"{size:,}",
                f"{memory['mean'].numpy().nbytes / 1e6:.0f}",
                *map(shown, times.values()),
                f"{timing.peak_memory():,.0f}",
            )
        )
    print(
        "Slots, half of them filled, C=100, B=1: a read and a draw of 32 "
        "queries, an update by\n32 codes and a forgetting of them, ms; the "
        "memory and the most held so far, MB\n"
    )
    timing.print_table(("K", "memory", *cells, "peak"), rows)


def draw_of(layer: SlotMemory) -> Callable:
    return lambda codes, memory: layer.sample(codes, memory, 1).latents


def main() -> None:
    arguments = parse_arguments()
    started = time.perf_counter()
    clock = Clock(arguments)
    # Memory at its peak is that of all before: the small first.
    slots(arguments, clock)
    accuracy(arguments)
    training(arguments, clock)
    write_and_read(arguments, clock)
    print(
        f"Peak memory {timing.peak_memory():,.0f} MB; "
        f"{time.perf_counter() - started:.0f} s in all"
    )


if __name__ == "__main__":
    main()
