"""The one step gives one device's weights on two replicas."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("replica_script.py")


def run(mode):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, SCRIPT, mode],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=120,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_give_the_weights_of_one_device():
    """Uneven and empty shares, clipping, and exact epoch metrics."""
    single, mirrored = run("single"), run("mirrored")
    np.testing.assert_allclose(
        mirrored["weights"], single["weights"], atol=1e-6
    )
    for name, values in single["logs"].items():
        np.testing.assert_allclose(mirrored["logs"][name], values, rtol=1e-5)
