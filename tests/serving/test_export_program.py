"""`python -m kgpm.export` on a finished run, in this process."""

import pytest

from kgpm import export
from kgpm.cli import flags
from kgpm.cli.main import run
from kgpm.cli.run_flags import save_run_flags
from kgpm.files import write_json
from kgpm.serving.export import saved_model
from kgpm.serving.export import warmup
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import save_model
from tests.models.conftest import make


def call(*arguments):
    return run(
        "kgpm.export",
        export.main,
        export.define_flags,
        export.__doc__,
        list(arguments),
        check=export.check,
    )


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run of an untrained model, with a table of figures."""
    path = tmp_path_factory.mktemp("run")
    values = flags.define(flags.FlagValues(), "run", "data")
    values(["", f"--model_dir={path}", "--data_dir=/somewhere/private"])
    directory = RunDirectory(path)
    directory.create()
    save_run_flags(values)
    save_model(make("grid_autoencoder"), directory.checkpoint("best"))
    figure = {"title": "conditional", "nelbo": {"mean": 12.34567}}
    figure["nelbo"]["standard_error"] = 0.5
    result = {
        "model": "GPM",
        "split": "test",
        "description": "invented images",
        "num_images": 3,
        "num_episodes": 1,
        "episode_length": 3,
        "seed": 0,
        "num_draws": 1,
        "num_importance_samples": 0,
        "image_shape": [8, 8, 1],
        "has_memory": True,
        "prior_is_trained": True,
        "why_no_bound": "",
        "memory_floats_per_image": 4.0,
        "parameters": 5,
        "figures": {"A": figure},
    }
    write_json(directory.metrics_json, result)
    return path


@pytest.mark.slow
def test_a_run_becomes_a_version(finished_run, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "mine"
    arguments = (f"--model_dir={finished_run}", f"--export_dir={folder}")
    assert call(*arguments, "--max_answer_mb=1") == 0
    assert capsys.readouterr().out == f"wrote {folder / '1'}\n"
    assert (folder / "1" / "saved_model.pb").is_file()
    card = (folder / "1" / "README.md").read_text()
    assert card.startswith("# mine, version 1\n")
    # The figures, the licence and the flags of the run, and no place.
    assert "12.35 ± 0.50" in card
    assert "invented images" in card
    assert "CC BY 4.0" in card
    assert "--episode_length=32" in card
    assert "private" not in card
    assert str(finished_run) not in card
    assert f"{2**18:,} numbers" in card
    # Without TensorFlow Serving's messages there is nothing to warm up with.
    monkeypatch.setattr(warmup, "can_write_warmup", lambda: False)
    monkeypatch.setattr(saved_model, "export_model", lambda *_, **__: folder)
    assert call(*arguments) == 0
    assert "kgpm[serving]" in capsys.readouterr().out
    warmup.write_warmup(folder, "mine", {})
    assert not (folder / warmup.WARMUP_FILE).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--export_dir={folder}"], "--model_dir is required"),
        (["--model_dir={run}"], "--export_dir is required"),
        (
            ["--model_dir={folder}/none", "--export_dir={folder}"],
            "does not exist",
        ),
        (["--model_dir={run}", "--export_dir={folder}/file"], "is a file"),
        (
            ["--model_dir={run}", "--export_dir={folder}", "--version=3"],
            "never overwritten",
        ),
        (
            ["--model_dir={run}", "--export_dir={folder}", "--version=0"],
            "not a positive integer",
        ),
        (
            [
                "--model_dir={run}",
                "--export_dir={folder}",
                "--checkpoint=last",
            ],
            "no checkpoint 'last'",
        ),
    ],
)
def test_a_mistake_is_one_sentence(
    finished_run, tmp_path, capsys, arguments, words
):
    (tmp_path / "file").touch()
    (tmp_path / "3").mkdir()
    places = {"run": finished_run, "folder": tmp_path}
    assert call(*(text.format(**places) for text in arguments)) == 2
    message = capsys.readouterr().err
    assert message.startswith("kgpm.export: ")
    assert message.count("\n") == 1
    assert words in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "file"]


def test_help_names_the_flags(capsys):
    assert call("--help") == 0
    text = capsys.readouterr().out
    for name in ("export_dir", "version", "checkpoint", "max_answer_mb"):
        assert f"--{name}" in text or f"--[no]{name}" in text
