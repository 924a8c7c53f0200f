"""The one step gives one device's weights on two replicas and two workers."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kgpm.serving import ExportedModel
from tests.models.replica_script import CASES
from tests.ports import free_ports

# Four trainings of every model, in three processes.
pytestmark = pytest.mark.slow

MODES = ("mirrored", "worker 0", "worker 1")
SCRIPT = Path(__file__).with_name("replica_script.py")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """One for all processes of pytest-xdist, which share out this module."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    path = base / "replicas"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="module")
def results(directory):
    """What all processes found: `{mode: {case: ...}}`, trained once."""
    path = directory / "results.json"
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            path.write_text(json.dumps(train_everywhere(directory)))
    return json.loads(path.read_text())


def train_everywhere(directory):
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(SCRIPT.parents[2]),
    }
    ports = [str(port) for port in free_ports(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, directory, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for arguments in ([], ["0", *ports], ["1", *ports])
    ]
    try:
        printed = [each.communicate(timeout=400)[0] for each in processes]
    finally:
        for each in processes:
            each.kill()
    assert [each.returncode for each in processes] == [0, 0, 0]
    found = {}
    for text in printed:
        found.update(json.loads(text.splitlines()[-1]))
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_replicas_give_the_weights_and_figures_of_one_device(
    results, case, mode
):
    """After steps with uneven, empty and absent shares, and clipping.

    Of all weights: those trained, statistics, codes and singular vectors.
    """
    single, shared = (results[each][case] for each in ("single", mode))
    # A product of bfloat16 rounds otherwise for another number of rows.
    coarse = 300.0 if case == "bfloat16" else 1.0
    assert shared["spread"] == 0.0
    assert shared["weights"].keys() == single["weights"].keys()
    for name, values in single["weights"].items():
        np.testing.assert_allclose(
            shared["weights"][name], values, atol=1e-5 * coarse, err_msg=name
        )
    assert shared["logs"].keys() == single["logs"].keys()
    for name, value in single["logs"].items():
        np.testing.assert_allclose(
            shared["logs"][name], value, rtol=1e-4 * coarse, err_msg=name
        )


@pytest.mark.parametrize("phase", ["training", "validation"])
def test_each_replica_draws_noise_of_its_own(results, phase):
    single, shared, first, second = (
        results[mode]["noise"][phase] for mode in ("single", *MODES)
    )
    # Of two replicas in three steps, no two draws alike.
    assert len(shared) == len(set(shared)) == 6
    # By the step and the rank of the replica, wherever it is.
    assert sorted([*first, *second]) == sorted(shared)
    assert len(single) == 3 and set(single) < set(shared)


def test_state_that_no_gradient_moves_is_compared(results):
    """And it has moved."""
    for case, expected in {
        "kpp": {"moving_mean", "moving_variance", "left_vector"},
        "vq_vae": {"embeddings", "counts", "sums"},
    }.items():
        weights = results["single"][case]["weights"]
        names = {name.split()[-1] for name in weights}
        assert names >= expected
    (placed,) = [
        value
        for name, value in results["mirrored"]["unplaced"]["weights"].items()
        if "initialized" in name
    ]
    assert placed == 1.0


def test_a_model_of_two_replicas_loads_and_serves_on_one_device(
    results, directory
):
    loaded = keras.models.load_model(directory / "vae.keras")
    expected = results["mirrored"]["vae"]["weights"]
    for variable, values in zip(loaded.weights, expected.values(), strict=True):
        np.testing.assert_array_equal(variable.numpy(), np.float32(values))
    episode = np.random.default_rng(0).random((2, 3, 8, 8, 1)) > 0.5
    episode = episode.astype("float32")
    served = ExportedModel(directory / "vae")
    answer = served.call("serving_default", {"episode": episode})
    np.testing.assert_allclose(
        answer["reconstruction"], loaded.read(episode, None), atol=1e-6
    )
