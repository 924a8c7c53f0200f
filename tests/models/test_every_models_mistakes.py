"""What every model of the table says to a mistake."""

import inspect

import numpy as np
import pytest

from kgpm import UserError
from kgpm import models
from kgpm.evaluation.evaluation import evaluate

from .conftest import batches
from .conftest import compiled


def test_wrong_image_shape(model):
    message = r"Expected images of shape \[B, T, 8"
    for bad in ((3, 5, 7, 8, 1), (3, 5, 8, 8, 3), (3, 0, 8, 8, 1), (8, 8, 1)):
        with pytest.raises(UserError, match=message):
            model.bound_terms(np.zeros(bad, "float32"), seed=0)


def test_plain_images_are_no_episodes(model):
    images = np.zeros((5, 8, 8, 1), "float32")
    if not model.memory.stores:
        assert model.bound_terms(images, seed=0)["nll"].shape == (5,)
        return
    with pytest.raises(UserError, match=r"T >= 1, received \[5, 8, 8, 1\]"):
        model.bound_terms(images, seed=0)


BAD_ARGUMENTS = {
    "image_shape": ((8, 8), "image_shape"),
    "likelihood": ("bernouli", "Did you mean 'bernoulli'"),
    "memory_size": (0, "memory_size of at least 1, received 0"),
    "num_embeddings": (0, "num_embeddings of at least 1, received 0"),
    "code_size": (0, "code_size of at least 1, received 0"),
    "embedding_dim": (0, "embedding_dim of at least 1, received 0"),
    "latent_size": (0, "latent_size of at least 1, received 0"),
    "width": ([8, 8, 8, 8], "width"),
    "read": ("hopfield", "read to be one of categorical, softmax"),
    "address_gradient": ("reinforce", "vimco, enumerate"),
    "num_bound_samples": (1, "num_bound_samples of at least 2.*received 1"),
    "vimco_baseline": ("none", "geometric, arithmetic"),
    "autoencoder_weight": (-1.0, "autoencoder_weight of at least 0"),
    "memory_kl_weight": (-1.0, "memory_kl_weight of at least 0"),
    "held_out_weight": (-1.0, "held_out_weight of at least 0"),
    "num_inner_reads": (-1, "num_inner_reads of at least 0"),
}


def pairs(name, constructor):
    """The name with each argument that the constructor names."""
    parameters = inspect.signature(constructor).parameters
    return {(name, each) for each in BAD_ARGUMENTS.keys() & parameters}


@pytest.mark.parametrize(
    ("name", "argument"),
    sorted(
        set.union(*(pairs(*item) for item in models.MODELS.items()))
        # And what all hand on to their base, once.
        | pairs("dkm", models.LatentModel)
    ),
)
def test_bad_arguments(name, argument):
    """The same sentences for every model that takes the argument."""
    value, message = BAD_ARGUMENTS[argument]
    with pytest.raises(UserError, match=message):
        models.MODELS[name](**{"image_shape": (20, 20, 1), argument: value})


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.denoise(x, m.write(x), num_steps=0),
        lambda m, x: m.generate(m.write(x), num_steps=0),
        lambda m, x: m.generate(m.write(x), num_samples=0),
    ],
)
def test_counts_below_one(gpm, images, call):
    with pytest.raises(UserError, match=r"of at least 1, received 0"):
        call(gpm, images)


@pytest.mark.parametrize("pixel", [0.5, np.nan, 2.0])
def test_fit_refuses_pixels_that_cannot_be_scored(gpm, images, pixel):
    compiled(gpm)
    images[0, 0, 3, 3] = pixel
    with pytest.raises(UserError, match="Expected pixels"):
        gpm.fit(batches(images), verbose=0, shuffle=False)
    with pytest.raises(UserError, match="Expected pixels"):
        gpm.fit(images, verbose=0)
    with pytest.raises(UserError, match="Expected pixels"):
        gpm.evaluate(images, verbose=0)
    right = np.zeros_like(images)
    with pytest.raises(UserError, match="Expected pixels"):
        gpm.fit(right, validation_data=batches(images), verbose=0)
    with pytest.raises(UserError, match="Expected pixels"):
        evaluate(gpm, batches(images))
