"""A table of small models for the tests that every model must pass."""

import keras
import numpy as np
import pytest

from kgpm.models import GPM

SHAPE = (8, 8, 1)
SMALL = {"image_shape": SHAPE, "code_size": 10, "width": 8}

# Name -> constructor. A new model or variant adds a line here.
MODELS = {
    "gpm": lambda: GPM(memory_size=4, **SMALL),
    "gpm_sequential": lambda: GPM(memory_size=4, writer="sequential", **SMALL),
    "gpm_per_slot": lambda: GPM(
        memory_size=4, posterior="per_slot", read_ridge="tiny", **SMALL
    ),
    "gpm_lstm": lambda: GPM(memory_size=4, ordering="lstm", **SMALL),
    "gpm_newton": lambda: GPM(memory_size=4, solver="newton", **SMALL),
}


@pytest.fixture(params=sorted(MODELS))
def model(request):
    keras.utils.set_random_seed(1)
    return MODELS[request.param]()


@pytest.fixture
def gpm():
    keras.utils.set_random_seed(1)
    return MODELS["gpm"]()


@pytest.fixture
def images():
    """Three episodes of five binary images."""
    generator = np.random.default_rng(0)
    return (generator.random((3, 5, *SHAPE)) > 0.6).astype("float32")
