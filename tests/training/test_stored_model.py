import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_model import TinyModel

from kgpm import UserError
from kgpm.files import write_json
from kgpm.files import write_text
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import check_same_model
from kgpm.training.stored_model import describe_model
from kgpm.training.stored_model import load_model
from kgpm.training.stored_model import save_model

# Keras turns its variables into arrays by a protocol that NumPy 2 has
# deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create()
    write_text(run.flags, "--seed=0\n")
    return run


def test_a_model_comes_back_equal(run):
    model = TinyModel(target=4.0)
    save_model(model, run.checkpoint("best"))
    loaded = load_model(run.path, "best")
    assert loaded.target == 4.0
    for new, old in zip(loaded.variables, model.variables, strict=True):
        np.testing.assert_array_equal(new, old)


def test_load_model_says_what_is_missing(run, tmp_path):
    with pytest.raises(UserError, match="does not exist: train"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no checkpoint 'best'"):
        load_model(run.path)
    with pytest.raises(UserError, match="one of best, last"):
        load_model(run.path, "first")


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_load_model_says_which_file_is_damaged(run, keep):
    path = run.checkpoint("best")
    save_model(TinyModel(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"best\.keras could not be read"):
        load_model(run.path)


def test_a_failed_save_leaves_the_old_model(run, monkeypatch):
    path = run.checkpoint("last")
    save_model(TinyModel(target=1.0), path)
    before = path.read_bytes()
    model = TinyModel(target=2.0)

    def full_disk(target):
        target.write_bytes(b"half a mod")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(model, path)
    assert path.read_bytes() == before
    assert os.listdir(run.checkpoints) == ["last.keras"]


@pytest.mark.slow
def test_a_disk_that_is_really_full_leaves_the_old_files(tmp_path):
    # A limit on the size of files makes the kernel refuse to write more, as
    # a full disk does.
    program = f"""
import errno, resource, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from pathlib import Path
import keras
from tiny_model import TinyModel
from kgpm.training.backup import Progress, save_backup
from kgpm.training.stored_model import save_model
directory = Path({str(tmp_path)!r})
model = TinyModel()
model.compile("adam")
model.optimizer.build(model.trainable_variables)
def save(epoch):
    yield lambda: save_model(model, directory / "last.keras")
    yield lambda: save_backup(directory, model, Progress(epoch=epoch))
for step in save(1):
    step()
before = {{p.name: p.read_bytes() for p in directory.iterdir()}}
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
for step in save(2):
    try:
        step()
    except OSError as error:
        assert error.errno == errno.EFBIG, error
    else:
        raise SystemExit("nothing failed")
after = {{p.name: p.read_bytes() for p in directory.iterdir()}}
assert after == before, (sorted(before), sorted(after))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_another_model_is_refused_with_what_differs(run):
    write_json(run.backup / "model.json", describe_model(TinyModel(target=1.0)))
    check_same_model(run, TinyModel(target=1.0))
    with pytest.raises(UserError, match=r"--target was 1\.0 and is now 2\.0"):
        check_same_model(run, TinyModel(target=2.0))


def test_another_class_is_refused(run):
    stored = {**describe_model(TinyModel()), "class": "VQVAE"}
    write_json(run.backup / "model.json", stored)
    with pytest.raises(UserError, match="is a VQVAE .* ask for a TinyModel"):
        check_same_model(run, TinyModel())
