"""Small exported models for the tests of servers and their clients."""

import numpy as np
import pytest

from kgpm.serving import ExportedModel
from kgpm.serving import export_model
from tests.models.conftest import SHAPE
from tests.models.conftest import make
from tests.serving import doubles
from tests.serving.server_process import server_process


@pytest.fixture(scope="session")
def small_export(tmp_path_factory):
    """Directory of the export of a small GPM."""
    path = tmp_path_factory.mktemp("exports") / "small"
    export_model(make("gpm"), path)
    return path


@pytest.fixture(scope="session")
def exported(small_export):
    return ExportedModel(small_export)


@pytest.fixture
def episodes():
    """Two episodes of five binary images."""
    generator = np.random.default_rng(0)
    return (generator.random((2, 5, *SHAPE)) > 0.6).astype("float32")


@pytest.fixture(scope="session")
def images():
    """Two episodes of three binary images."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 2, (2, 3, *SHAPE)).astype("float32")


@pytest.fixture(scope="session")
def requests(exported, images):
    """Inputs of every signature by its name."""
    known = {
        "episode": images,
        "query": images[:, :2],
        "seed": np.array([3, 4], "int32"),
        "steps": np.int32(3),
        "num_samples": np.int32(2),
        "batch_size": np.int32(2),
    }
    known |= exported.call("prior", {"batch_size": known["batch_size"]})
    known |= exported.call("write", {"episode": images})
    return {
        name: {key: known[key] for key in signature["inputs"]}
        for name, signature in exported.signatures.items()
    }


@pytest.fixture(scope="session")
def grpc_address(exported):
    """A double of TensorFlow Serving in this process, over gRPC."""
    with doubles.grpc_server(exported) as address:
        yield address


@pytest.fixture(scope="session")
def server(small_export, tmp_path_factory):
    """A server with the default limits."""
    log = tmp_path_factory.mktemp("server") / "stderr"
    with server_process(small_export, log) as server:
        yield server
        # Nothing that a test sent was worth a word.
        assert log.read_text() == ""
