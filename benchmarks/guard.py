"""A guard against slowness: ratios on this machine beside stored ones.

    python -m benchmarks.guard
    python -m benchmarks.guard --store

Run it before a release, on an otherwise idle machine, for about two minutes.
Each ratio is the median of several rounds, and is compared with that of the
same kind of processor in `benchmarks/guard.json`; `--store` writes it there. It
fails, exit code 1, where one is more than 15% above.

- step : matmul, a training step of GPM over a product of 2048x2048 matrices;
- memory : step, write and read of its memory with gradients over that step;
- evaluation : training, figures A, B and C with 100 importance samples over
  the steps that train on as many images;
- serving : bare, a `read` of an export in this process over the model's own.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from benchmarks import processor  # noqa: E402
from benchmarks import timing  # noqa: E402
from kgpm.errors import UserError  # noqa: E402
from kgpm.evaluation import evaluate  # noqa: E402
from kgpm.files import write_json  # noqa: E402
from kgpm.models import GPM  # noqa: E402
from kgpm.serving import ExportedModel  # noqa: E402
from kgpm.serving import export_model  # noqa: E402

STORED = Path(__file__).with_name("guard.json")
MARGIN = 0.15
LENGTH = 32


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--store", action="store_true", help="store these ratios")
    add("--rounds", type=int, default=7, help="of which the median is taken")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 1
    return arguments


def seconds(function: Callable[[], Any], repeats: int) -> float:
    return timing.seconds(function, repeats, warmup=0)


def make_round(folder: str, episodes: int) -> Callable[[], dict[str, float]]:
    """A function that measures each ratio once; everything is traced."""
    model = GPM()
    model.compile(keras.optimizers.AdamW(3e-4, global_clipnorm=10.0))
    shape = [episodes, LENGTH, *model.image_shape]
    images = tf.round(tf.random.stateless_uniform(shape, seed=[0, 0]))
    data = {"images": images, "weights": tf.ones(shape[:2])}
    dataset = tf.data.Dataset.from_tensors(data)
    codes = model.encode(images)
    matrix = tf.random.stateless_normal([2048, 2048], seed=[1, 0])

    @tf.function
    def multiply() -> tf.Tensor:
        return tf.matmul(matrix, matrix)[0, 0]

    @tf.function
    def train() -> tf.Tensor:
        return model.train_step(data)["loss"]

    @tf.function
    def remember() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(codes)
            latents = model.memory.read(codes, model.memory.write(codes))
            loss = tf.reduce_sum(tf.square(latents))
        return tape.gradient(loss, codes)[0, 0, 0]

    export_model(model, Path(folder) / "model", max_numbers=2**28)
    exported = ExportedModel(Path(folder) / "model")
    episode = images[:1].numpy()
    served = {
        "query": episode,
        **exported.call("write", {"episode": episode}),
    }
    bare = tf.function(
        lambda query, mean: model.read(query, {"mean": mean}), autograph=False
    )

    def read() -> Any:
        return bare(tf.constant(episode), tf.constant(served["memory_mean"]))

    def call() -> list:
        exported.call("read", served)
        return []

    def score() -> list:
        evaluate(model, dataset, num_importance_samples=100, progress=False)
        return []

    def measure() -> dict[str, float]:
        product, step = seconds(multiply, 5), seconds(train, 5)
        again = min(product, seconds(multiply, 5))
        times = {"bare": [], "served": []}
        for _ in range(20):
            for name, function in (("bare", read), ("served", call)):
                start = time.perf_counter()
                tf.nest.map_structure(np.asarray, function())
                times[name].append(time.perf_counter() - start)
        return {
            "step : matmul": step / again,
            "memory : step": seconds(remember, 9) / step,
            "evaluation : training": seconds(score, 1) / step,
            "serving : bare": statistics.median(times["served"])
            / statistics.median(times["bare"]),
        }

    measure()
    return measure


def main() -> None:
    arguments = parse_arguments()
    kind, stored = processor.kind(), json.loads(STORED.read_text())
    print(processor.name(), flush=True)
    if kind not in stored and not arguments.store:
        raise UserError(
            f"Expected ratios of a processor with {kind} in {STORED.name}, "
            f"received those with {', '.join(stored)}; store this one's with "
            "--store, from a version that is known to be fast."
        )
    with tempfile.TemporaryDirectory() as folder:
        measure = make_round(folder, 2 if arguments.quick else 32)
        rounds = [measure() for _ in range(arguments.rounds)]
    ratios = {
        name: round(statistics.median(each[name] for each in rounds), 4)
        for name in rounds[0]
    }
    known = stored.get(kind, ratios)
    slower = {name: ratios[name] / known[name] - 1.0 for name in ratios}
    timing.print_table(
        ("ratio", "now", "stored", "slower by"),
        [
            (name, f"{now:.3g}", f"{known[name]:.3g}", f"{slower[name]:+.0%}")
            for name, now in ratios.items()
        ],
    )
    if arguments.store:
        write_json(STORED, {**stored, kind: ratios})
        print(f"Stored for {kind} in {STORED}.")
        return
    failed = [name for name, share in slower.items() if share > MARGIN]
    if failed:
        sys.exit(f"Slower by more than {MARGIN:.0%}: {', '.join(failed)}.")
    print(f"Nothing is slower by more than {MARGIN:.0%}.")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"benchmarks.guard: {error}", file=sys.stderr)
        sys.exit(2)
