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
        """Minus the number of pixels that are 1."""
        return -tf.reduce_sum(images, axis=(-3, -2, -1))

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

    def memory_floats(self, episode_length):
        return 4 * episode_length

    def write(self, codes, weights=None, seed=None):
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
            "total": tf.zeros(batch_size),
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
        latents = 2.0 * added(codes, memory)
        return Draw(latents, {}, tf.fill(latents.shape, -math.log(2.0)))


class FakeModel:
    """Images are 2 x 2; the first pixel of each is its number.

    The terms depend on which memory was used in a way that can be told apart:
    `bound_terms` on none, `query_terms` on the number of its first image, and
    `score` and what is drawn on the sum of what was written.
    """

    image_shape = (2, 2, 1)
    likelihood = FakeLikelihood()
    depends_on_order = False

    def __init__(self, kl_memory=False, stores=True):
        self.kl_memory = kl_memory
        self.memory = FakeMemory(stores)
        # No encoder that lets images see each other.
        self.encoder = types.SimpleNamespace(mixes_images=False)
        self.num_traces = 0
        self.num_write_traces = 0
        self.num_draws = tf.Variable(0)

    def count_params(self):
        return 1234

    def write(self, images, weights=None, seed=None):
        self.num_write_traces += 1
        return self.memory.write(self.encode(images), weights, seed)

    def bound_terms(self, images, weights=None, seed=None, training=False):
        self.num_traces += 1
        number = images[..., 0, 0, 0]
        noise = ops.uniform(number.shape, seed)
        terms = {"nll": number + noise, "kl_w": 0.5 * number**2}
        if self.kl_memory:
            terms["kl_memory"] = tf.ones_like(number) * 3.0
        return terms

    def score(self, images, codes, memory, seed):
        number = images[..., 0, 0, 0]
        total = memory["total"][:, None]
        return {"nll": number * 0 + total, "kl_w": tf.zeros_like(number)}

    def query_terms(self, queries, memory, seed=None, weights=None):
        number = queries[..., 0, 0, 0]
        first = memory["nested"][0][:, None]
        return {"nll": number * 0 + first, "kl_w": tf.zeros_like(number)}

    def sample_latents(self, codes, memory, seed):
        self.num_draws.assign_add(1)
        latents = added(codes, memory)
        return Draw(latents, {}, tf.zeros_like(latents))

    def explain(self, images, draws, seed):
        return [{"nll": draw.latents} for draw in draws]

    def encode(self, images, weights=None):
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
