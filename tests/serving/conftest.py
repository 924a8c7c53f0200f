"""Small exported models for the tests of servers and their clients."""

import numpy as np
import pytest

from kgpm.serving import ExportedModel
from kgpm.serving import export_model
from tests.models.conftest import SHAPE
from tests.models.conftest import make


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
