"""An export holds each network once, however many signatures call it."""

import inspect

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from kgpm.serving.export.shared_networks import shared_networks
from kgpm.serving.export.versions import latest_version
from tests.models.conftest import SHAPE
from tests.models.conftest import make


def test_each_convolution_is_stored_once(small_export):
    """Nine signatures and two loops call an encoder or decoder."""
    path = latest_version(small_export) / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [node.op for f in graph.library.function for node in f.node_def]
    kernels = [w for w in make("gpm").weights if len(w.shape) == 4]
    assert nodes.count("Conv2D") == len(kernels) > 0


def test_a_model_is_left_as_it_was():
    model = make("gpm")
    images = np.ones((1, 2, *SHAPE), "float32")
    before = model(images)
    with pytest.raises(KeyError, match="of the caller"):
        with shared_networks(model):
            np.testing.assert_allclose(model(images), before, atol=1e-6)
            assert not inspect.ismethod(model.encoder.call)
            raise KeyError("of the caller")
    for layer in model.layers:
        assert inspect.ismethod(layer.call)
    np.testing.assert_array_equal(model(images), before)
