"""oneDNN is on before TensorFlow loads, unless the user says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from kgpm import onednn


@pytest.fixture
def environment(monkeypatch):
    """Without TensorFlow and without a word of the user."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return monkeypatch


def test_it_is_turned_on(environment):
    onednn.turn_on()
    assert onednn.is_on()


def test_what_the_user_says_stays(environment):
    environment.setenv(onednn.VARIABLE, "0")
    onednn.turn_on()
    assert os.environ[onednn.VARIABLE] == "0"
    assert not onednn.is_on()


def test_nothing_is_said_to_a_tensorflow_that_is_loaded(environment):
    environment.setitem(sys.modules, "tensorflow", object())
    onednn.turn_on()
    assert onednn.VARIABLE not in os.environ


def test_other_processors_are_left_alone(environment):
    environment.setattr(platform, "machine", lambda: "aarch64")
    onednn.turn_on()
    assert onednn.VARIABLE not in os.environ


def test_an_import_of_the_package_turns_it_on():
    if platform.machine() != "x86_64":
        pytest.skip("another processor")
    environment = {k: v for k, v in os.environ.items() if k != onednn.VARIABLE}
    code = "import kgpm, os; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "1\n"
