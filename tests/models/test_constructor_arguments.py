"""What a model says of its own constructor, from which flags are made."""

from kgpm.models import GPM
from kgpm.models import VAE
from kgpm.models import GridAutoencoder
from kgpm.models import KanervaPlusPlus
from kgpm.models import MemoryVAE
from kgpm.models import VariationalMemoryVAE

GRID = {
    "image_shape": (32, 32, 3),
    "embedding_dim": 64,
    "likelihood": "fixed_gaussian",
    "data_variance": 0.0633,
    "width": (64, 128),
    "residual_width": 32,
    "num_blocks": 2,
    "share_blocks": False,
}


def test_arguments_of_the_bases_are_among_them():
    assert GridAutoencoder.constructor_arguments() == GRID
    rows = {**GRID, "memory_size": 512, "similarity": "l2"}
    assert MemoryVAE.constructor_arguments() == rows
    drawn = {**rows, "temperature": 1.0}
    assert VariationalMemoryVAE.constructor_arguments() == drawn


def test_what_a_subclass_fills_in_is_not_among_them():
    """No flag for what a base needs, nor for what comes with it."""
    assert "memory" not in GPM.constructor_arguments()
    assert "latent_size" not in VAE.constructor_arguments()
    assert "autoencoder_weight" not in KanervaPlusPlus.constructor_arguments()


def test_the_default_of_a_subclass_counts():
    class Wider(MemoryVAE):
        def __init__(self, image_shape=(8, 8, 1), width=7, **kwargs):
            super().__init__(image_shape, width=width, **kwargs)

    arguments = Wider.constructor_arguments()
    assert (arguments["image_shape"], arguments["width"]) == ((8, 8, 1), 7)
    assert arguments["memory_size"] == 512


def test_without_kwargs_nothing_is_passed_on():
    class Closed(MemoryVAE):
        def __init__(self, image_shape=(8, 8, 1)):
            super().__init__(image_shape)

    assert Closed.constructor_arguments() == {"image_shape": (8, 8, 1)}
