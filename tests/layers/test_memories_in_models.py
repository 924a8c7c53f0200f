"""The memories as layers of a model that is not this package's."""

import random

import keras
import numpy as np
import pytest

from kgpm import layers

MEMORIES = {
    "block": lambda: layers.BlockMemory(
        6, 5, memory_size=8, window_size=5, width=2, hidden_size=4
    ),
    "dkm": lambda: layers.DynamicKanervaMemory(3, 6),
    "gpm": lambda: layers.PseudoInverseMemory(3, 6),
    "lstm": lambda: layers.PseudoInverseMemory(3, 6, ordering="lstm"),
    "sequential": lambda: layers.SequentialMemory(3, 6),
    "dense": lambda: layers.DenseMemory(6, 5, 1, 4, hidden_size=4),
    "categorical": lambda: layers.SlotMemory(3, 6, hidden_size=5),
    "softmax": lambda: layers.SlotMemory(3, 6, read="softmax"),
    "km": lambda: layers.KanervaMemory(3, 6, key_size=4, hidden_size=5),
}


@keras.saving.register_keras_serializable(package="tests")
class ReadsBack(keras.Model):
    """Vectors `[B, T, 4]` to what a memory of them gives back."""

    def __init__(self, memory, **kwargs):
        super().__init__(**kwargs)
        self.encoder = keras.layers.Dense(6)
        self.memory = memory
        if not memory.built:
            memory.build()
        self.decoder = keras.layers.Dense(4)

    def call(self, inputs):
        codes = self.encoder(inputs)
        memory = self.memory.write(codes)
        return self.decoder(self.memory.read(codes, memory))

    def get_config(self):
        memory = keras.saving.serialize_keras_object(self.memory)
        return {**super().get_config(), "memory": memory}

    @classmethod
    def from_config(cls, config):
        memory = keras.saving.deserialize_keras_object(config.pop("memory"))
        return cls(memory, **config)


# Keras turns its variables into arrays by a protocol that NumPy 2 has
# deprecated.
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
# What is for a bound alone has no part in a mean read.
@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
@pytest.mark.slow
@pytest.mark.parametrize("name", MEMORIES)
def test_it_trains_and_comes_back_from_a_file(name, tmp_path):
    random.seed(0)
    model = ReadsBack(MEMORIES[name]())
    model.compile("adam", "mse")
    inputs = np.random.default_rng(0).normal(size=(8, 5, 4)).astype("float32")
    losses = model.fit(inputs, inputs, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-5)
