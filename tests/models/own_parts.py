"""Parts of a user's own: two plain networks, and a memory of 40 lines."""

import random

import keras
from keras import ops

from kgpm.layers import Draw
from kgpm.layers import Memory
from kgpm.models import LatentModel
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import log_density_diagonal
from kgpm.ops import normal

SHAPE = (8, 8, 1)
CODE_SIZE = 10


@keras.saving.register_keras_serializable(package="tests")
class HopfieldMemory(Memory):
    """Codes as they came; a read is a step of a modern Hopfield network.

    q(z | x) is a Gaussian about the code, p(z) = N(0, I), and what is decoded
    is softmax(beta z M^T) M.
    """

    term_names = ("kl_z",)

    def __init__(self, code_size, beta=8.0, **kwargs):
        super().__init__(**kwargs)
        self.code_size = code_size
        self.beta = beta

    def build(self, input_shape=None):
        self.log_variance = self.add_weight(
            shape=(self.code_size,), initializer="zeros", name="log_variance"
        )
        self.built = True

    def prior(self, batch_size):
        # Two, because Keras warns of a softmax over one.
        codes = ops.zeros((batch_size, 2, self.code_size))
        return {"mean": codes, "present": ops.ones((batch_size, 2))}

    def write(self, codes, weights=None, seed=None, training=False):
        return {"mean": codes, "present": self.weights_of(codes, weights)}

    def read(self, codes, memory):
        logits = ops.einsum("bqc,btc->bqt", self.beta * codes, memory["mean"])
        logits = ops.where(memory["present"][:, None] > 0.0, logits, -1e9)
        return ops.matmul(ops.softmax(logits), memory["mean"])

    def sample(self, codes, memory, seed, training=False, weights=None):
        log_variance = ops.broadcast_to(self.log_variance, ops.shape(codes))
        noise = normal(ops.shape(codes), seed, "float32")
        z = codes + ops.exp(0.5 * log_variance) * noise
        zero = ops.zeros_like(z)
        log_ratio = log_density_diagonal(z, zero, zero) - log_density_diagonal(
            z, codes, log_variance
        )
        kl = {"kl_z": kl_diagonal_standard(codes, log_variance)}
        return Draw(self.read(z, memory), kl, log_ratio)

    def sample_prior(self, memory, num_samples, seed):
        shape = (ops.shape(memory["mean"])[0], num_samples, self.code_size)
        return self.read(normal(shape, seed, "float32"), memory)


def own_encoder(code_size=CODE_SIZE):
    return keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, 2, "same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(code_size),
        ],
        name="own_encoder",
    )


def own_decoder(num_parameters=1):
    return keras.Sequential(
        [
            keras.layers.Dense(4 * 4 * 4, activation="relu"),
            keras.layers.Reshape((4, 4, 4)),
            keras.layers.Conv2DTranspose(num_parameters, 3, 2, "same"),
        ],
        name="own_decoder",
    )


def own_model(**arguments):
    """A model of them, or of others in their places."""
    random.seed(1)
    parts = {
        "encoder": own_encoder(),
        "memory": HopfieldMemory(CODE_SIZE),
        "decoder": own_decoder(),
        "likelihood": "bernoulli",
    }
    return LatentModel(SHAPE, **{**parts, **arguments})
