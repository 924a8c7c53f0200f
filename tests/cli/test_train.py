"""The program as a user runs it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from kgpm import train
from kgpm.cli import training_job
from kgpm.cli.images import load_split
from kgpm.cli.main import run
from kgpm.cli.main import training_flags
from kgpm.cli.parts import make_model
from kgpm.training.backup import Progress

SMALL = (
    "--dataset=digits",
    "--image_size=8",
    "--binarize=threshold",
    "--memory_size=2",
    "--code_size=4",
    "--width=4",
    "--episode_length=4",
    "--batch_size=64",
    "--steps_per_epoch=2",
    "--num_importance_samples=0",
)


@pytest.fixture
def in_process(monkeypatch, capfd):
    """Runs the program here, up to the point where it would train."""
    monkeypatch.setattr("kgpm.cli.main.prepare", lambda values: None)
    monkeypatch.setattr(training_job, "fit", lambda *args: None)
    monkeypatch.setattr(training_job, "report", lambda *args: None)

    def start(*arguments):
        code = run(
            "kgpm.train",
            train.main,
            train.define_flags,
            "Doc.",
            arguments,
            check=train.check,
        )
        return code, capfd.readouterr().err

    return start


@pytest.mark.parametrize("epochs", [1, 10])
def test_what_is_right_passes(epochs, in_process, tmp_path):
    assert in_process(
        f"--model_dir={tmp_path / 'run'}", f"--epochs={epochs}", *SMALL
    ) == (0, "")


def corrupt_folder(path):
    path.mkdir()
    for index in range(20):
        (path / f"{index}.png").write_bytes(b"no picture")
    return path


BAD = {
    "unknown data set": (["--dataset=mnits"], "mnist"),
    "grey pixels": (["--binarize=none"], "add --binarize=threshold"),
    "K >= C": (["--memory_size=4"], "code_size"),
    "tiny images": (["--image_size=2"], "image_shape"),
    "endless warm-up": (
        ["--epochs=1", "--warmup_epochs=1"],
        "lower --warmup_epochs",
    ),
    "no effect": (["--beta=3"], "with --model=slot_vae only"),
    "an empty folder": (["--dataset=TMP/empty"], "empty"),
    "no pictures": (["--dataset=TMP/broken"], ".png"),
    "data that are not there": (
        ["--dataset=celeb_a", "--data_dir=TMP"],
        "celeb_a",
    ),
    "a used directory": (["--model_dir=TMP/used"], "add --resume"),
    "nothing to resume": (["--resume"], "found no run"),
    "a file": (["--model_dir=TMP/used/file"], "is a file"),
    "below a file": (["--model_dir=TMP/used/file/run"], "file is a file"),
    "not writable": (["--model_dir=/proc/run"], "/proc/run"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(case, in_process, tmp_path):
    (tmp_path / "empty").mkdir()
    corrupt_folder(tmp_path / "broken")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    arguments, message = BAD[case]
    code, err = in_process(
        f"--model_dir={tmp_path / 'run'}",
        *SMALL,
        *(argument.replace("TMP", str(tmp_path)) for argument in arguments),
    )
    assert code == 2, err
    assert err.startswith("kgpm.train: ") and err.count("\n") == 1, err
    assert message in err
    assert (tmp_path / "used" / "file").read_text() == "mine"
    # What failed before it began leaves no trace.
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda test: {"labels": test.labels % 3},
            "classes_per_episode to be at most the 3 classes of digits test",
        ),
        (lambda test: {"images": test.images // 2}, "--likelihood=bernoulli"),
    ],
    ids=["too few classes", "grey pixels"],
)
def test_what_cannot_be_tested_on_is_refused_at_the_start(
    change, message, in_process, tmp_path, monkeypatch
):
    def changed(values, split):
        images = load_split(values, split)
        wrong = change(images) if split == "test" else {}
        return dataclasses.replace(images, **wrong)

    monkeypatch.setattr(training_job, "load_split", changed)
    run_directory = tmp_path / "run"
    code, err = in_process(
        f"--model_dir={run_directory}", *SMALL, "--classes_per_episode=4"
    )
    assert code == 2, err
    assert err.startswith("kgpm.train: ") and err.count("\n") == 1, err
    assert message in err
    assert not run_directory.exists()


@pytest.mark.parametrize("steps", [2, 7])
def test_a_resumed_run_goes_on_where_the_data_were(tmp_path, steps):
    # An epoch of the data has 5 batches; both cut and span epochs.
    values = train_values(tmp_path, f"--steps_per_epoch={steps}")
    images = load_split(values, "train")

    def first_batch(epochs_done, skipped):
        job = training_job.TrainingJob(
            None,
            images,
            None,
            None,
            None,
            steps,
            Progress(epoch=epochs_done),
        )
        batches = training_job.training_batches(values, job).skip(skipped)
        return next(iter(batches))["images"]

    np.testing.assert_array_equal(first_batch(3, 0), first_batch(0, 3 * steps))
    assert np.any(first_batch(3, 0) != first_batch(0, 0))


def start(model_dir, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "kgpm.train", f"--model_dir={model_dir}"]
        + list(arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after(process, model_dir, epoch):
    """Kills the program as soon as an epoch is backed up."""
    path = model_dir / "backup" / "progress.json"
    for _ in range(1200):
        try:
            if json.loads(path.read_text())["epoch"] >= epoch:
                break
        except FileNotFoundError:
            pass
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return json.loads(path.read_text())


def backup_values(model_dir):
    progress = json.loads((model_dir / "backup/progress.json").read_text())
    with np.load(model_dir / "backup" / progress["values"]) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    epochs = 6
    job = ("--ema_momentum=0.5", f"--epochs={epochs}", "--log_images_every=0")
    progress = kill_after(start(whole, *SMALL, *job), whole, epochs)
    assert progress["epoch"] == epochs
    stopped = kill_after(start(killed, *SMALL, *job), killed, 1)["epoch"]
    assert 1 <= stopped < epochs, "it was killed too late to show anything"

    # The flags of the run need not be given again.
    process = start(killed, "--resume")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    assert f"Resuming after epoch {stopped}." in out

    expected, resumed = backup_values(whole), backup_values(killed)
    assert set(expected) == set(resumed)
    for name, value in expected.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    rows = (killed / "metrics.csv").read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(
        range(1, epochs + 1)
    )
    figures = json.loads((killed / "metrics.json").read_text())["figures"]
    assert np.isfinite(figures["A"]["nelbo"]["mean"])
    assert os.path.getsize(killed / "checkpoints" / "best.keras")


def test_another_model_is_not_resumed(in_process, tmp_path):
    from kgpm.files import write_json
    from kgpm.training.run_directory import RunDirectory
    from kgpm.training.stored_model import describe_model

    values = train_values(tmp_path)
    stored = RunDirectory(tmp_path)
    stored.create()
    training_job.save_run_flags(values)
    model = make_model(values, (8, 8, 1))
    write_json(stored.backup / "model.json", describe_model(model))
    resumed = (f"--model_dir={tmp_path}", "--resume")
    assert in_process(*resumed) == (0, "")
    code, err = in_process(*resumed, "--code_size=5")
    assert code == 2
    assert "another model: --code_size was 4 and is now 5" in err


@pytest.mark.parametrize(
    ("momentum", "share"), [(0.5, "2%"), (0.999, "99%"), (0.3, None), (0, None)]
)
def test_an_average_of_the_first_weights_is_told(
    tmp_path, capsys, momentum, share
):
    values = train_values(
        tmp_path,
        f"--ema_momentum={momentum}",
        "--epochs=3",
        "--warmup_epochs=1",
    )
    job = training_job.prepare_job(values)
    # Six steps, of which none is left to do.
    job.progress = Progress(epoch=3)
    training_job.fit(values, job)
    note = [x for x in capsys.readouterr().out.splitlines() if "Note:" in x]
    assert [share in line for line in note] == ([True] if share else [])


def train_values(directory, *arguments):
    return training_flags(f"--model_dir={directory}", *SMALL, *arguments)
