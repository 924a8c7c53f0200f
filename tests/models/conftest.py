"""A table of small models for the tests that every model must pass."""

import functools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import layers
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
from kgpm.models import SequentialGPM
from kgpm.models import SlotMemoryVAE
from kgpm.models import VariationalMemoryVAE
from tests.layers.layer_checks import awake

SHAPE = (8, 8, 1)
# Sizes of default parts.
SMALL = {"image_shape": SHAPE, "code_size": 10, "width": 8}
# Sizes of the parts below.
KEYED = {
    "code_size": 10,
    "latent_size": 6,
    "memory_size": 12,
    "window_size": 8,
    "width": 4,
    "hidden_size": 16,
}


def slot_vae(memory_size=4, held_out_weight=0.0, **options):
    """A slot model whose memory has options."""
    memory = layers.SlotMemory(memory_size, 10, name="memory", **options)
    return SlotMemoryVAE(
        SHAPE,
        encoder=layers.ImageEncoder(SHAPE, 10, 8, name="encoder"),
        memory=memory,
        decoder=layers.ImageDecoder(SHAPE, 10, 1, 8, name="decoder"),
        held_out_weight=held_out_weight,
    )


def keyed(**arguments):
    """A Kanerva++ with the published kinds of networks."""
    parts = {
        "encoder": layers.TemporalShiftResNet(
            SHAPE, 10, 4, num_blocks=1, stem="small", name="encoder"
        ),
        "memory": layers.BlockMemory(**KEYED, name="memory"),
        "decoder": layers.TransposedDecoder(SHAPE, 6, 1, 4, name="decoder"),
    }
    return KanervaPlusPlus(**{"image_shape": SHAPE, **parts, **arguments})


def dense_ablation():
    block = layers.BlockMemory(**KEYED, activation="linear")
    return DenseMemoryAblation(
        SHAPE,
        encoder=layers.ImageEncoder(SHAPE, 10, 4, name="encoder"),
        memory=layers.DenseMemory.matching(block, name="memory"),
        decoder=layers.ImageDecoder(SHAPE, 6, 1, 4, name="decoder"),
    )


def addressed(share_encoder=False, memory_options=None, **arguments):
    """A small VMA."""
    encoder = layers.AddressEncoder(
        SHAPE, [4, 6], 12, 10, 16, share_encoder, name="encoder"
    )
    return VMA(
        SHAPE,
        memory=layers.ImageMemory(
            encoder, 6, name="memory", **(memory_options or {})
        ),
        decoder=layers.EntryDecoder(SHAPE, 6, 12, 1, [4, 6], 8, name="decoder"),
        **arguments,
    )


def grid(cls, bottleneck, *sizes, share_blocks=False, **options):
    """A small model of grids of 2 x 2 vectors of length 6."""
    scales = ([4, 6], 4, 2, share_blocks)
    # What has no sizes is for any grid.
    sizes = ((2, 2), *sizes, 6) if sizes else ()
    return cls(
        SHAPE,
        encoder=layers.GridEncoder(SHAPE, 6, *scales, name="encoder"),
        memory=bottleneck(*sizes, name="memory", **options),
        decoder=layers.GridDecoder(SHAPE, 6, 1, *scales, name="decoder"),
        likelihood="bernoulli",
    )


def vq_vae(**options):
    """A VQ-VAE whose codes are where a first batch would put them."""
    model = grid(VQVAE, layers.QuantizedBottleneck, 8, **options)
    vectors = np.random.default_rng(3).normal(size=(64, 6)) * 0.1
    model.memory.quantizer.encode(
        vectors.astype("float32"), training=True, seed=1
    )
    return model


# Name -> constructor. A new model adds a line here; the options of a layer
# are cases of the tests of layers.
MODELS = {
    "gpm": lambda: GPM(memory_size=4, **SMALL),
    "gpm_attractor": lambda: GPM(memory_size=4, num_inner_reads=1, **SMALL),
    "sequential_gpm": lambda: SequentialGPM(memory_size=4, **SMALL),
    "slot_vae": lambda: slot_vae(hidden_size=16, held_out_weight=0.5),
    "slot_vae_softmax": lambda: slot_vae(8, read="softmax"),
    "km": lambda: KanervaMachine(
        memory=layers.KanervaMemory(
            4, 10, key_size=6, hidden_size=16, name="memory"
        ),
        **SMALL,
    ),
    "dkm": lambda: DynamicKanervaMachine(memory_size=4, **SMALL),
    "kpp": lambda: awake(keyed()),
    "kpp_dense": lambda: awake(dense_ablation()),
    "vae": lambda: VAE(
        memory=layers.GaussianLatent(10, 16, name="memory"), **SMALL
    ),
    "vma": addressed,
    "memory_vae": lambda: grid(
        MemoryVAE, layers.SoftBottleneck, 8, share_blocks=True
    ),
    "variational_memory_vae": lambda: grid(
        VariationalMemoryVAE, layers.VariationalBottleneck, 8
    ),
    "vq_vae": vq_vae,
    "grid_autoencoder": lambda: grid(GridAutoencoder, layers.NoBottleneck),
}


def make(name):
    random.seed(1)
    return MODELS[name]()


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


# One with a memory, one without, and those that no other module tests: the rest
# are marked as slow. And of what costs seconds one of all.
QUICK = {"gpm", "dkm", "km", "vae"}
QUICKEST = {"gpm"}


def rows(holds=None, quick=QUICK, names=MODELS):
    """Names of those models of which something holds, for a test's rows.

    Those that are not quick are marked as slow.
    """
    return [
        name if name in quick else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(names)
        if holds is None or holds(_made(name)[0])
    ]


def models_that(holds=None, quick=QUICK):
    """Marks a test for those models alone."""
    return pytest.mark.parametrize(
        "name_of_model", rows(holds, quick), indirect=True
    )


def stores(model):
    return model.memory.stores


def three_episodes():
    """Of five binary images."""
    generator = np.random.default_rng(0)
    return (generator.random((3, 5, *SHAPE)) > 0.6).astype("float32")


def memory_of(model, images, weights=None, seed=None):
    """A written memory, or none where there is none to write to."""
    if not model.memory.stores:
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


@pytest.fixture(params=rows())
def name_of_model(request):
    """For what must be set before a model is made."""
    return request.param


@pytest.fixture
def model(name_of_model):
    return untouched(name_of_model)


@pytest.fixture
def gpm():
    return untouched("gpm")


@pytest.fixture
def images():
    return three_episodes()
