"""A table of small models for the tests that every model must pass."""

import functools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm.models import GPM
from kgpm.models import VAE
from kgpm.models import VMA
from kgpm.models import VQVAE
from kgpm.models import DenseMemoryAblation
from kgpm.models import DynamicKanervaMachine
from kgpm.models import GridAutoencoder
from kgpm.models import KanervaMachine
from kgpm.models import KanervaPlusPlus
from kgpm.models import MemoryVAE
from kgpm.models import VariationalMemoryVAE
from tests.layers.layer_checks import awake

SHAPE = (8, 8, 1)
SMALL = {"image_shape": SHAPE, "code_size": 10, "width": 8}
KEYED = {
    "image_shape": SHAPE,
    "code_size": 10,
    "latent_size": 6,
    "memory_size": 12,
    "window_size": 8,
    "width": 4,
    "num_blocks": 1,
    "encoder": "tsm_resnet_small",
    "hidden_size": 16,
}
ADDRESSED = {
    "image_shape": SHAPE,
    "width": [4, 6],
    "feature_size": 12,
    "address_size": 10,
    "latent_size": 6,
    "context_size": 8,
    "hidden_size": 16,
}
GRID = {
    "image_shape": SHAPE,
    "embedding_dim": 6,
    "width": [4, 6],
    "residual_width": 4,
    "likelihood": "bernoulli",
    "data_variance": 0.24,
}
CODES = {"num_embeddings": 8, **GRID}
ROWS = {"memory_size": 8, **GRID}


# Name -> constructor. A new model or variant adds a line here.
MODELS = {
    "gpm": lambda: GPM(memory_size=4, **SMALL),
    "gpm_sequential": lambda: GPM(memory_size=4, writer="sequential", **SMALL),
    "gpm_per_slot": lambda: GPM(
        memory_size=4, posterior="per_slot", read_ridge="tiny", **SMALL
    ),
    "gpm_lstm": lambda: GPM(memory_size=4, ordering="lstm", **SMALL),
    "gpm_newton": lambda: GPM(memory_size=4, solver="newton", **SMALL),
    "gpm_attractor": lambda: GPM(
        memory_size=4, read="attractor", num_inner_reads=1, **SMALL
    ),
    "gpm_categorical": lambda: GPM(
        memory_size=4,
        read="categorical",
        hidden_size=16,
        held_out_weight=0.5,
        **SMALL,
    ),
    "gpm_softmax": lambda: GPM(
        memory_size=8, read="softmax", autoencoder_weight=0.0, **SMALL
    ),
    "dkm": lambda: DynamicKanervaMachine(memory_size=4, **SMALL),
    "dkm_frozen": lambda: DynamicKanervaMachine(
        memory_size=4,
        learn_prior=False,
        learn_observation_noise=True,
        num_opt_iters=2,
        autoencoder_weight=0.0,
        **SMALL,
    ),
    "km": lambda: KanervaMachine(
        memory_size=4, key_size=6, hidden_size=16, **SMALL
    ),
    "km_full": lambda: KanervaMachine(
        memory_size=4,
        key_size=6,
        hidden_size=16,
        learn_observation_noise=False,
        autoencoder_weight=0.5,
        memory_kl_weight=1.0,
        **SMALL,
    ),
    "kpp": lambda: awake(KanervaPlusPlus(**KEYED)),
    "kpp_dense": lambda: awake(
        DenseMemoryAblation(
            **{**KEYED, "encoder": "residual", "decoder": "residual"},
            activation="linear",
        )
    ),
    "vae": lambda: VAE(hidden_size=16, **SMALL),
    "grid_autoencoder": lambda: GridAutoencoder(**GRID),
    "memory_vae": lambda: MemoryVAE(share_blocks=True, **ROWS),
    "memory_vae_cosine": lambda: MemoryVAE(similarity="cosine", **ROWS),
    "memory_vae_reference": lambda: MemoryVAE(similarity="reference", **ROWS),
    "variational_memory_vae": lambda: VariationalMemoryVAE(**ROWS),
    "vq_vae": lambda: with_codes(VQVAE(**CODES)),
    "vq_vae_pixel_cnn": lambda: with_codes(
        VQVAE(
            codebook="gradient",
            prior="pixel_cnn",
            prior_width=6,
            prior_blocks=1,
            **CODES,
        )
    ),
    "vma": lambda: VMA(**ADDRESSED),
    "vma_enumerated": lambda: VMA(
        share_encoder=True, address_gradient="enumerate", **ADDRESSED
    ),
}
# Options of a model that is there without them too, and that leave nothing
# behind a batch but gradients: what costs much does without them.
VARIANTS = {
    "gpm_sequential",
    "gpm_per_slot",
    "gpm_lstm",
    "gpm_newton",
    "dkm_frozen",
    "km_full",
    "memory_vae_cosine",
    "memory_vae_reference",
    "vma_enumerated",
}
WITHOUT_MEMORY = {name for name in MODELS if "va" in name} | {
    "grid_autoencoder"
}
# Nothing is drawn between an image and what is decoded.
WITHOUT_NOISE = WITHOUT_MEMORY - {"vae", "variational_memory_vae"}
# There is nothing to draw from.
WITHOUT_PRIOR = {n for n in WITHOUT_NOISE if not n.startswith("vq_vae")}
# Trained to explain each image by the others of its episode.
HELD_OUT = {"vma", "vma_enumerated"}
# The loss is not a sum of terms that could be warmed up.
WITHOUT_WARMUP = {"vma"}


def with_codes(model):
    """A VQ-VAE whose codes are where a first batch would put them."""
    vectors = np.random.default_rng(3).normal(size=(64, 6)) * 0.1
    model.quantizer.encode(vectors.astype("float32"), training=True, seed=1)
    return model


def make(name):
    random.seed(1)
    return MODELS[name]()


def memory_of(model, images, weights=None, seed=None):
    """A written memory, or none where there is none to write to."""
    if not model.has_memory:
        return None
    return model.write(images, weights, seed)


def batches(images, weights=None):
    if weights is None:
        weights = np.ones(images.shape[:2], "float32")
    batch = {"images": images, "weights": weights}
    return tf.data.Dataset.from_tensor_slices(batch).batch(2)


def compiled(model, **kwargs):
    optimizer = keras.optimizers.AdamW(1e-2, global_clipnorm=10.0)
    model.compile(optimizer, **kwargs)
    return model


@functools.cache
def _made(name):
    model = make(name)
    return model, model.get_weights()


def untouched(name):
    """One model for all tests, with the weights that it was made with.

    To make it again would cost more than most tests do.
    """
    model, weights = _made(name)
    model.set_weights(weights)
    return model


@pytest.fixture(params=sorted(MODELS))
def name_of_model(request):
    """For what must be set before a model is made."""
    return request.param


@pytest.fixture
def model(name_of_model):
    return untouched(name_of_model)


@pytest.fixture(params=sorted(MODELS.keys() - WITHOUT_MEMORY))
def memory_model(request):
    return untouched(request.param)


@pytest.fixture
def gpm():
    return untouched("gpm")


@pytest.fixture
def images():
    """Three episodes of five binary images."""
    generator = np.random.default_rng(0)
    return (generator.random((3, 5, *SHAPE)) > 0.6).astype("float32")
