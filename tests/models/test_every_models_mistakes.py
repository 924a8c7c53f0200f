"""What every model of the table says to a mistake."""

import numpy as np
import pytest

from kgpm import UserError
from kgpm import models
from kgpm.evaluation.evaluation import evaluate

from .conftest import batches
from .conftest import compiled
from .conftest import untouched


@pytest.mark.parametrize(
    "bad", [(3, 5, 7, 8, 1), (3, 5, 8, 8, 3), (3, 0, 8, 8, 1), (8, 8, 1)]
)
def test_wrong_image_shape(model, bad):
    with pytest.raises(UserError, match=r"Expected images of shape \[B, T, 8"):
        model.bound_terms(np.zeros(bad, "float32"), seed=0)


def test_plain_images_are_no_episodes(model):
    images = np.zeros((5, 8, 8, 1), "float32")
    if not model.has_memory:
        assert model.bound_terms(images, seed=0)["nll"].shape == (5,)
        return
    with pytest.raises(UserError, match=r"T >= 1, received \[5, 8, 8, 1\]"):
        model.bound_terms(images, seed=0)


BAD_ARGUMENTS = {
    "code_size": (0, "code_size"),
    "image_shape": ((8, 8), "image_shape"),
    "normalization": ("batch", "normalization"),
    "likelihood": ("bernouli", "Did you mean 'bernoulli'"),
    "width": ([8, 8, 8, 8], "width"),
    "memory_size": (0, "memory_size"),
    "observation_noise": (0.0, "observation_noise"),
    "address_noise": (0.0, "address_noise"),
    "num_opt_iters": (0, "num_opt_iters"),
    "key_size": (0, "key_size"),
    "hidden_size": (0, "hidden_size"),
    "autoencoder_weight": (-1.0, "autoencoder_weight"),
    "memory_kl_weight": (-1.0, "memory_kl_weight"),
    "read": ("hopfield", "read to be one of linear, attractor"),
    "num_inner_reads": (0, "num_inner_reads"),
    "beta": (0.0, "beta > 0, received 0.0"),
    "held_out_weight": (-1.0, "held_out_weight of at least 0"),
    "encoder": ("resnet", "encoder"),
    "decoder": ("resnet", "decoder"),
    "latent_size": (0, "latent_size"),
    "num_reads": (0, "num_reads"),
    "window_size": (13, "window_size <= memory_size"),
    "key_transform": ("free", "key_transform"),
    "activation": ("rlu", "activation"),
    "embedding_dim": (0, "embedding_dim"),
    "num_embeddings": (0, "num_embeddings"),
    "commitment_cost": (-1.0, "commitment_cost"),
    "restart_below": (1.0, "restart_below < 1, received 1.0"),
    "decay": (1.0, "decay < 1, received 1.0"),
    "codebook": ("em", "codebook"),
    "prior": ("pixelcnn", "prior"),
    "prior_width": (0, "width"),
    "similarity": ("l1", "similarity"),
    "temperature": (0.0, "temperature"),
    "residual_width": (0, "hidden_width"),
    "data_variance": (0.0, "data_variance"),
}


@pytest.mark.parametrize("argument", BAD_ARGUMENTS)
@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_bad_arguments(name, argument):
    """The same sentences for every model that takes the argument."""
    config = untouched(name).get_config()
    if argument not in config:
        pytest.skip("it has no such argument")
    value, message = BAD_ARGUMENTS[argument]
    if argument == "prior_width":
        config["prior"] = "pixel_cnn"
    with pytest.raises(UserError, match=message):
        models.get(name).from_config({**config, argument: value})


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.denoise(x, m.write(x), num_steps=0),
        lambda m, x: m.generate(m.write(x), num_steps=0),
        lambda m, x: m.generate(m.write(x), num_samples=0),
        lambda m, x: m.log_likelihood(x, num_importance_samples=0),
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


def test_unknown_model():
    with pytest.raises(UserError, match="Did you mean 'gpm'"):
        models.get("gmp")
