"""A few steps of two models, each on one device and on two replicas.

Run in a process of its own, because logical devices must be set before
TensorFlow starts: it prints weights (of Kanerva++ those that gradients do not
move) and logs as JSON, `{model: {"single": ..., "mirrored": ...}}`.
"""

import functools
import json

import keras
import numpy as np
import tensorflow as tf

from kgpm.models import BoundModel
from tests.models.conftest import make


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


def linear(generator):
    """Nine episodes in batches of four: the last leaves a replica empty."""
    images = generator.random((9, 3, 2, 2, 1)).astype("float32")
    weights = (generator.random((9, 3)) > 0.3).astype("float32")
    return Linear, {"images": images, "weights": weights}


def kanerva_plus_plus(generator):
    """One batch: statistics of the encoder depend on images alone."""
    images = (generator.random((4, 3, 8, 8, 1)) > 0.5).astype("float32")
    batch = {"images": images, "weights": np.ones((4, 3), "float32")}
    return functools.partial(make, "kpp"), batch


def vector_quantised(generator):
    """Codes in their places: their running means are of both replicas."""
    images = (generator.random((4, 3, 8, 8, 1)) > 0.5).astype("float32")
    weights = np.ones((4, 3), "float32")
    weights[3, 1:] = 0.0
    batch = {"images": images, "weights": weights}
    return functools.partial(make, "vq_vae"), batch


def unplaced_codes(generator):
    """Codes find their places in a batch that the second replica has alone."""
    images = (generator.random((2, 3, 8, 8, 1)) > 0.5).astype("float32")
    weights = np.array([[0.0] * 3, [1.0] * 3], "float32")
    batch = {"images": images, "weights": weights}

    def constructor():
        model = make("vq_vae")
        model.quantizer.initialized.assign(0.0)
        return model

    return constructor, batch


CASES = {
    "linear": linear,
    "kpp": kanerva_plus_plus,
    "vq_vae": vector_quantised,
    "unplaced": unplaced_codes,
}


# Tracing another step costs far more than taking it.
VALIDATED = ("linear", "kpp")


def trained(name, mode, strategy):
    constructor, batch = CASES[name](np.random.default_rng(0))
    data = tf.data.Dataset.from_tensor_slices(batch).batch(4)
    with strategy.scope():
        model = constructor()
        model.compile(
            keras.optimizers.Adam(0.05, global_clipnorm=0.5),
            # One step is sooner taken than traced; replicas need a trace.
            run_eagerly=mode == "single",
        )
    history = model.fit(
        data,
        validation_data=data if name in VALIDATED else None,
        epochs=2 if name == "linear" else 1,
        verbose=0,
        shuffle=False,
    ).history
    shown = model.non_trainable_variables or model.variables
    weights = {
        variable.path.split("/", 1)[-1]: variable.numpy().tolist()
        for variable in shown
        if "seed" not in variable.path
    }
    # How far the copies of the replicas are apart.
    spread = max(
        float(np.ptp([copy.numpy() for copy in copies], axis=0).max())
        for copies in map(strategy.experimental_local_results, values_of(model))
    )
    return {"weights": weights, "logs": history, "spread": spread}


def values_of(model):
    return [variable.value for variable in model.variables]


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
    strategies = {
        "single": tf.distribute.get_strategy(),
        "mirrored": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    results = {
        name: {
            mode: trained(name, mode, each) for mode, each in strategies.items()
        }
        for name in CASES
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
