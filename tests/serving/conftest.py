"""Small exported models for the tests of servers and their clients."""

import logging

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceStub,
)

from kgpm.serving import ExportedModel
from kgpm.serving import export_model
from tests.models.conftest import SHAPE
from tests.models.conftest import make
from tests.serving import doubles
from tests.serving.servers import server_thread


@pytest.fixture(scope="session")
def small_export(tmp_path_factory):
    """Directory of the export of a small GPM."""
    path = tmp_path_factory.mktemp("exports") / "small"
    export_model(make("gpm"), path)
    return path


@pytest.fixture(scope="session")
def exported(small_export):
    return ExportedModel(small_export)


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
def server(small_export, exported):
    """A server with the default limits, in a thread of this process."""
    said = []
    listener = logging.Handler(logging.WARNING)
    # A client in this process says that it tries again.
    listener.addFilter(lambda record: not record.name.startswith("urllib3"))
    listener.emit = lambda record: said.append(record.getMessage())
    logging.getLogger().addHandler(listener)
    with pytest.MonkeyPatch.context() as patch:
        # It is loaded already.
        patch.setattr(
            "kgpm.serving.kserve.server.ExportedModel", lambda *_: exported
        )
        with server_thread(small_export) as server:
            yield server
    logging.getLogger().removeHandler(listener)
    # Nothing that a test sent was worth a word.
    assert said == []


@pytest.fixture(scope="session")
def stub(server):
    """KServe's gRPC of the server."""
    with grpc.insecure_channel(server.grpc) as channel:
        yield GRPCInferenceServiceStub(channel)
