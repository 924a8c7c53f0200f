"""Three steps of a noise-free model on one device or on two replicas.

Run in a process of its own, because logical devices must be set before
TensorFlow starts: `python replica_script.py single|mirrored` prints weights
and logs as JSON.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from kgpm.models import BoundModel


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


def main(mode):
    strategy = tf.distribute.get_strategy()
    if mode == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, logical)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    generator = np.random.default_rng(0)
    # Nine episodes in batches of four: the last one leaves a replica empty.
    images = generator.random((9, 3, 2, 2, 1)).astype("float32")
    weights = (generator.random((9, 3)) > 0.3).astype("float32")
    batch = {"images": images, "weights": weights}
    data = tf.data.Dataset.from_tensor_slices(batch).batch(4)
    with strategy.scope():
        model = Linear()
        optimizer = keras.optimizers.Adam(0.05, global_clipnorm=0.5)
        model.compile(optimizer)
        optimizer.build(model.trainable_variables)
    history = model.fit(
        data, validation_data=data, epochs=2, verbose=0, shuffle=False
    ).history
    result = {"weights": model.get_weights()[0].tolist(), "logs": history}
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
