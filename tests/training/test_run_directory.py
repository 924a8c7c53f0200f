import os

import pytest

from kgpm import UserError
from kgpm.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create()
    run.flags.write_text("--seed=0\n")
    return run


def test_creates_what_is_missing(tmp_path):
    run = RunDirectory(tmp_path / "a" / "b")
    run.check()
    assert not list(tmp_path.iterdir())
    run.create()
    assert sorted(os.listdir(run.path)) == ["backup", "checkpoints", "logs"]


def test_accepts_an_empty_shell(tmp_path):
    run = RunDirectory(tmp_path)
    run.create()
    run.check()
    run.create()
    assert sorted(os.listdir(run.path)) == ["backup", "checkpoints", "logs"]


def test_refuses_what_is_not_empty_unless_resumed(run):
    with pytest.raises(UserError, match="not empty: add --resume"):
        run.check()
    run.check(resume=True)


def test_refuses_to_resume_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="found no run"):
        RunDirectory(tmp_path).check(resume=True)


@pytest.mark.parametrize("below", ["", "a/b"])
def test_refuses_a_file(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file"):
        RunDirectory(tmp_path / "file" / below).check()


def test_refuses_what_cannot_be_written(tmp_path, monkeypatch):
    # Root may write everywhere, so the answer is the system's in name only.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(PermissionError, match=str(tmp_path)):
        RunDirectory(tmp_path / "run").check()
