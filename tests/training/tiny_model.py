"""The smallest model that the package's training step can train."""

import keras
from keras import ops

from kgpm.models import BoundModel


@keras.saving.register_keras_serializable(package="kgpm_tests")
class TinyModel(BoundModel):
    """nll = |kernel . mean pixel + bias - target|^2, kl_w = bias^2 + 1."""

    term_names = ("nll", "kl_w")

    def __init__(self, target=3.0, **kwargs):
        super().__init__(**kwargs)
        self.target = target
        self.dense = keras.layers.Dense(1)
        self.dense.build((None, 1))
        self.built = True

    def call(self, images):
        return self.dense(ops.mean(images, axis=(-3, -2))[..., :1])[..., 0]

    def bound_terms(self, images, weights=None, seed=None, training=False):
        output = self(images)
        return {
            "nll": ops.square(output - self.target),
            "kl_w": ops.square(self.dense.bias)[0] + ops.ones_like(output),
        }

    def get_config(self):
        return {**super().get_config(), "target": self.target}
