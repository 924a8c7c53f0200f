"""Some steps of every model: on one device, on replicas, on workers.

Run in a process of its own, because devices must be set before TensorFlow
starts: `DIRECTORY` for one device and two logical ones, `DIRECTORY RANK PORT
PORT` for one of two workers. Prints weights and logs as JSON, `{mode: {case:
...}}`, and leaves a model of the two logical devices and its export.

A replica draws noise of its own, which comes first, as `noise`; after that it
draws that of the whole batch and keeps its part, so that noise too is that of
one device.
"""

import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf

from kgpm.models import BoundModel
from kgpm.models import bound_model
from kgpm.ops import normal
from kgpm.serving import export_model
from tests.models.conftest import MODELS
from tests.models.conftest import make
from tests.models.own_parts import own_model

TRACED = ("linear", "vq_vae")
VALIDATED = (*TRACED, "gpm", "vma")
EXPORTED = "vae"
# Options of a model that is there without them too, and that leave nothing
# behind a batch but gradients.
VARIANTS = {"gpm_attractor", "slot_vae_softmax"}
NOISE = ("stateless_normal", "stateless_uniform", "stateless_categorical")


class Linear(BoundModel):
    """nll = sum_x (a x - 1)^2 and kl_a = |a|^2: nothing random."""

    def __init__(self):
        super().__init__()
        self.a = self.add_weight(shape=(4,), initializer="ones", name="kernel")
        self.built = True

    @property
    def term_names(self):
        return ("nll", "kl_a")

    def bound_terms(self, images, weights=None, seed=None, training=False):
        flat = tf.reshape(images, [*tf.unstack(tf.shape(images)[:2]), 4])
        error = tf.reduce_sum(tf.square(self.a * flat - 1.0), -1)
        square = tf.fill(
            tf.shape(error), tf.reduce_sum(tf.square(self.a.value))
        )
        return {"nll": error, "kl_a": square}


def unplaced_codes():
    """Codes that the first batch puts in their places."""
    model = make("vq_vae")
    model.memory.quantizer.initialized.assign(0.0)
    return model


def half_precision():
    """Networks of bfloat16, whose sums round to 8 bits."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return make("gpm")
    finally:
        keras.config.set_dtype_policy("float32")


CASES = {
    "linear": Linear,
    "unplaced": unplaced_codes,
    "bfloat16": half_precision,
    "own_parts": lambda: own_model(autoencoder_weight=0.5),
    # In one order: workers must train the same model at a time.
    **{
        name: lambda name=name: make(name)
        for name in sorted(MODELS.keys() - VARIANTS)
    },
}


def batches(case):
    """A batch of four episodes and one of one: nothing for a replica.

    Two steps, the second of which has momentum from the first. Of `linear`
    three batches, the last of three, which replicas share unevenly; of
    `unplaced` three, and the first replica has only absent images at first.
    """
    generator = np.random.default_rng(0)
    count, shape = {
        "linear": (11, (2, 2, 1)),
        "unplaced": (9, (8, 8, 1)),
    }.get(case, (5, (8, 8, 1)))
    images = (generator.random((count, 3, *shape)) > 0.5).astype("float32")
    weights = (generator.random((count, 3)) > 0.3).astype("float32")
    weights[:, 0] = 1.0
    if case == "unplaced":
        weights[:2] = 0.0
    batch = {"images": images, "weights": weights}
    return tf.data.Dataset.from_tensor_slices(batch).batch(4)


def trained(case, strategy, directory):
    data = batches(case)
    with strategy.scope():
        model = CASES[case]()
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5),
            # A few steps are sooner taken than traced.
            run_eagerly=case not in TRACED,
        )
    history = model.fit(
        data,
        validation_data=data if case in VALIDATED else None,
        verbose=0,
        shuffle=False,
    ).history
    if case == EXPORTED and isinstance(
        strategy, tf.distribute.MirroredStrategy
    ):
        model.save(f"{directory}/{case}.keras")
        export_model(model, f"{directory}/{case}")
    copies = [
        strategy.experimental_local_results(variable.value)
        for variable in model.weights
    ]
    return {
        "weights": {
            f"{index} {variable.path.rsplit('/', 1)[-1]}": (
                variable.numpy().tolist()
            )
            for index, variable in enumerate(model.weights)
        },
        "logs": {name: value for name, (value,) in history.items()},
        # How far the copies of the replicas are apart.
        "spread": max(
            float(np.ptp([each.numpy() for each in values], axis=0).max())
            for values in copies
        ),
    }


def noise(strategy):
    """A draw of each step and replica of this process, as models draw."""
    drawn = {"training": [], "validation": []}

    class Drawing(Linear):
        def bound_terms(self, images, weights=None, seed=None, training=False):
            phase = "training" if training else "validation"
            drawn[phase].append(float(normal([], seed)))
            return super().bound_terms(images, weights, seed, training)

    with strategy.scope():
        model = Drawing()
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    data = batches("linear")
    model.fit(data, validation_data=data, verbose=0, shuffle=False)
    return drawn


def of_the_batch(draw):
    """Draws for all replicas and returns the rows of this one."""

    def drawn(*args, **kwargs):
        replica = tf.distribute.get_replica_context()
        if replica is None or not args or len(args[0]) == 0:
            # Initial weights, or what all images share.
            return draw(*args, **kwargs)
        own = replica.replica_id_in_sync_group
        count = replica.num_replicas_in_sync
        first, *rest = args
        if isinstance(first, tf.Tensor) and first.shape.rank == 2:
            # Logits, a row for each draw.
            rows = tf.shape(first)[0]
            first = tf.concat([first] * count, 0)
        else:
            rows = first[0]
            first = (count * rows, *first[1:])
        drawn = draw(first, *rest, **kwargs)
        return drawn[own * rows : (own + 1) * rows]

    return drawn


def alone():
    """On one device, and on two logical ones of this process."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
    return {
        "single": tf.distribute.get_strategy(),
        "mirrored": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }


def worker(rank, ports):
    """As one of the workers at these ports."""
    workers = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": rank}
    cluster = {"cluster": {"worker": workers}, "task": task}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    return {f"worker {rank}": tf.distribute.MultiWorkerMirroredStrategy()}


def main(directory, rank=None, *ports):
    strategies = alone() if rank is None else worker(int(rank), ports)
    results = {mode: {"noise": noise(s)} for mode, s in strategies.items()}
    for name in NOISE:
        setattr(tf.random, name, of_the_batch(getattr(tf.random, name)))
    bound_model._replica_id = lambda replica: 0
    for mode, strategy in strategies.items():
        for case in CASES:
            results[mode][case] = trained(case, strategy, directory)
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
