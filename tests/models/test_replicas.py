"""The one step gives one device's weights on two replicas."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MODES = ("single", "mirrored")
SCRIPT = Path(__file__).with_name("replica_script.py")


@pytest.fixture(scope="module")
def results():
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(SCRIPT.parents[2]),
    }
    done = subprocess.run(
        [sys.executable, SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=240,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_give_the_weights_of_one_device(results):
    """Uneven and empty shares, clipping, and exact epoch metrics."""
    single, mirrored = (results["linear"][m] for m in MODES)
    assert mirrored["weights"].keys() == single["weights"].keys()
    for name, values in single["weights"].items():
        np.testing.assert_allclose(mirrored["weights"][name], values, atol=1e-6)
    for name, values in single["logs"].items():
        np.testing.assert_allclose(mirrored["logs"][name], values, rtol=1e-5)


def test_statistics_are_those_of_all_replicas(results):
    """Of batch normalisation and spectral norms, after a step of Kanerva++."""
    single, mirrored = (results["kpp"][m] for m in MODES)
    assert mirrored["weights"].keys() == single["weights"].keys()
    names = {name.rsplit("/", 1)[-1] for name in single["weights"]}
    assert names >= {"moving_mean", "moving_variance", "left_vector"}
    for name, values in single["weights"].items():
        np.testing.assert_allclose(mirrored["weights"][name], values, atol=1e-5)
    assert np.isfinite(mirrored["logs"]["val_nelbo"][0])


def test_replicas_have_the_same_codes(results):
    """Also where one of them had absent images alone."""
    for name in ("vq_vae", "unplaced"):
        assert results[name]["mirrored"]["spread"] == 0.0
    weights = results["unplaced"]["mirrored"]["weights"]
    (initialized,) = [v for n, v in weights.items() if "initialized" in n]
    assert initialized == 1.0


def test_codes_are_running_means_over_all_replicas(results):
    single, mirrored = (results["vq_vae"][m] for m in MODES)
    assert mirrored["weights"].keys() == single["weights"].keys()
    names = {name.rsplit("/", 1)[-1] for name in single["weights"]}
    assert names >= {"embeddings", "counts", "sums"}
    for name, values in single["weights"].items():
        np.testing.assert_allclose(mirrored["weights"][name], values, atol=1e-5)
    for name in ("nmse", "perplexity", "commitment"):
        np.testing.assert_allclose(
            mirrored["logs"][name], single["logs"][name], rtol=1e-5
        )
