"""A model of memory whose every number can be computed by hand."""

import math
import types

import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.layers import Draw


class FakeLikelihood:
    name = "bernoulli"

    def bits_per_dim(self, nats, image_shape):
        return nats / (math.prod(image_shape) * math.log(2.0)) + 8.0

    def point(self, parameters, threshold=0.5):
        return tf.cast(parameters >= threshold, "float32")

    def log_prob(self, images, parameters, seed=None):
        """Minus the sum of the pixels decoded."""
        return -tf.reduce_sum(parameters, axis=(-3, -2, -1))

    def validate(self, images):
        """Numbers are no pixels."""


class FakeMemory:
    """The images themselves, so that a read can be exact."""

    why_no_bound = ""
    draws = True
    prior_is_trained = True
    explains_itself = False
    enumerates = True

    def __init__(self, stores):
        self.stores = stores
        self.num_traces = 0

    def memory_floats(self, episode_length):
        return 4 * episode_length

    def leaves_out_exactly(self, num_codes):
        return False

    def costs(self, memory, weights):
        return {"kl_memory": tf.fill(weights.shape, 3.0)}

    def write(self, codes, weights=None, seed=None):
        self.num_traces += 1
        number = codes[..., 0, 0, 0]
        return {
            "images": codes,
            "nested": (number[:, 0],),
            "total": tf.reduce_sum(number * weights, axis=1),
        }

    def prior(self, batch_size):
        return {
            "images": tf.zeros((batch_size, 3, *FakeModel.image_shape)),
            "nested": (tf.fill((batch_size,), -7.0),),
            "total": tf.fill((batch_size,), -70.0),
        }

    def draw(self, memory, seed):
        return memory

    def recall(self, memory):
        return memory

    def latent_energy(self, codes, memory):
        """The number of pixels that are 1, which energy has twice so."""
        return tf.reduce_sum(codes, axis=(-3, -2, -1))

    def residual(self, codes, latents, memory):
        """Three times the number of pixels that are 1."""
        return 3.0 * tf.reduce_sum(codes, axis=(-3, -2, -1))

    def num_addresses(self, memory):
        return 2

    def sample_address(self, codes, memory, address, seed):
        """Each of the two addresses with half of p(a)."""
        number = 2.0 * added(codes, memory)
        return Draw(as_image(number), {}, tf.fill(number.shape, -math.log(2.0)))


class FakeModel:
    """Images are 2 x 2; the first pixel of each is its number.

    The terms tell which memory was used: `nll` is the sum of the numbers that
    were written to it, and the latents drawn are that and the image's own.
    """

    image_shape = (2, 2, 1)
    likelihood = FakeLikelihood()
    depends_on_order = False

    def __init__(self, kl_memory=False, stores=True):
        self.memory = FakeMemory(stores)
        # No encoder that lets images see each other.
        self.encoder = types.SimpleNamespace(mixes_images=False)
        self.term_names = ("nll", "kl_w", *["kl_memory"] * kl_memory)
        self.num_encode_traces = self.num_score_traces = 0
        self.num_draws = tf.Variable(0)

    def count_params(self):
        return 1234

    def write(self, images, weights=None, seed=None):
        return self.memory.write(self.encode(images), weights, seed)

    def score(self, images, codes, memory, seed):
        self.num_score_traces += 1
        number = images[..., 0, 0, 0]
        noise = ops.uniform(number.shape, seed)
        nll = 0.0 * number
        if memory is not None:
            nll += memory["total"][:, None]
        return {"nll": nll, "kl_w": 0.5 * number**2 + noise}

    def sample_latents(self, codes, memory, seed):
        self.num_draws.assign_add(1)
        number = added(codes, memory)
        return Draw(as_image(number), {}, tf.zeros_like(number))

    def encode(self, images, weights=None):
        self.num_encode_traces += 1
        return images

    def decode(self, codes):
        return codes

    def reconstruct(self, images, threshold=0.5):
        return self.likelihood.point(images, threshold)

    def denoise(self, queries, memory, num_steps=10, threshold=0.5):
        """Step n puts right the first n pixels in reading order."""
        order = np.arange(4).reshape(2, 2, 1)
        return tf.stack(
            [
                tf.where(order < step, memory["images"], queries)
                for step in range(1, num_steps + 1)
            ],
            axis=1,
        )

    def mean_latents(self, codes, memory):
        return codes


def added(codes, memory):
    """The number of each image and the sum of what was written."""
    number = codes[..., 0, 0, 0]
    return number if memory is None else number + memory["total"][:, None]


def as_image(number):
    """Images `[..., 2, 2, 1]` that begin with numbers."""
    rest = tf.zeros((*number.shape, 3))
    flat = tf.concat([number[..., None], rest], axis=-1)
    return tf.reshape(flat, (*number.shape, *FakeModel.image_shape))


@pytest.fixture
def fake_model():
    return FakeModel


@pytest.fixture
def numbered_episodes():
    """Batches of numbered images; the last episode is padded."""

    def make(num_images, episode_length, batch_size):
        num_episodes = -(-num_images // episode_length)
        number = np.zeros(num_episodes * episode_length, "float32")
        number[:num_images] = np.arange(1, num_images + 1)
        # What pads the last episode must not be seen in any figure.
        number[num_images:] = 1e6
        images = np.zeros((len(number), 2, 2, 1), "float32")
        images[:, 0, 0, 0] = number
        weights = (np.arange(len(number)) < num_images).astype("float32")
        shape = (num_episodes, episode_length)
        return tf.data.Dataset.from_tensor_slices(
            {
                "images": images.reshape(*shape, 2, 2, 1),
                "weights": weights.reshape(shape),
            }
        ).batch(batch_size)

    return make
