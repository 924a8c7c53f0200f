"""What every test gets: a quiet, seeded, full-precision TensorFlow."""

import os
import random
from pathlib import Path

# Read by TensorFlow's native code when it is imported, hence before it is.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A test must not open a window.
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np  # noqa: E402
import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
# Where real data may lie beside a clone.
NEIGHBOUR_DATA = ROOT.parent / "shared" / "data" / "tfds"


@pytest.fixture(scope="session", autouse=True)
def full_precision():
    """Turns TensorFloat-32 off: oracles in float64 would not agree with it."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture(autouse=True)
def seeds():
    """Starts each test from the same random numbers of Python and NumPy.

    Keras's initialisers take their seeds from Python's. TensorFlow's own
    generator is left alone, because seeding it throws its kernels away, an
    eighth of the time of all tests: what the package draws it draws from a
    seed that the caller names.
    """
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def no_determinism():
    """Takes back what a program that ran in this process asked for.

    With it Keras gives up XLA, and TensorFlow has no other way back.
    """
    yield
    from tensorflow.python.framework import config

    if config.is_op_determinism_enabled():
        config.disable_op_determinism()


@pytest.fixture(scope="session")
def shared_data() -> str:
    """Directory of prepared TFDS data sets; skips the test if there is none.

    It is `TFDS_DATA_DIR`, else `../shared/data/tfds` from the root of the
    repository.
    """
    folder = Path(os.environ.get("TFDS_DATA_DIR") or NEIGHBOUR_DATA)
    if not folder.is_dir():
        pytest.skip(f"no prepared data sets in {folder}")
    return str(folder)
