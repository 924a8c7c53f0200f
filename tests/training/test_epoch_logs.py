"""The callbacks that add to the logs, write them, or watch the clock."""

import csv
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tiny_model import TinyModel

from kgpm.training.callbacks import throughput
from kgpm.training.callbacks import time_limit
from kgpm.training.callbacks.metrics_csv import metrics_csv
from kgpm.training.callbacks.progress_bar import ProgressBar
from kgpm.training.callbacks.tensorboard import tensorboard_callbacks
from kgpm.training.callbacks.throughput import Throughput
from kgpm.training.callbacks.time_limit import TimeLimit
from kgpm.training.optimizer import learning_rate_schedule
from kgpm.training.optimizer import make_optimizer
from kgpm.training.run_directory import RunDirectory


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


def fit(callbacks, epochs=2, first=0):
    model = TinyModel()
    schedule = learning_rate_schedule(0.1, total_steps=8, warmup_steps=2)
    model.compile(make_optimizer(model, "adam", schedule))
    images = tf.data.Dataset.from_tensors(np.ones((2, 3, 2, 2, 1), "float32"))
    return model.fit(
        images.repeat(),
        validation_data=images,
        steps_per_epoch=4,
        initial_epoch=first,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
        shuffle=False,
    )


def test_throughput_leaves_out_the_first_step(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    callback = Throughput(images_per_step=6)
    model = TinyModel()
    model.compile(make_optimizer(model, "adam", 0.25))
    callback.set_model(model)
    callback.on_epoch_begin(0)
    # The first step takes 50 s, the two others 2 s each, validation 30 s.
    for batch, seconds in enumerate([50.0, 2.0, 2.0]):
        clock.now += seconds
        callback.on_train_batch_end(batch)
    clock.now += 30.0
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs == {"images_per_second": 3.0, "learning_rate": 0.25}


def test_added_figures_reach_the_history_and_every_file(tmp_path):
    run = RunDirectory(tmp_path)
    run.create()
    callbacks = [
        Throughput(6),
        *tensorboard_callbacks(
            run, {"width": [1, 2], "seed": 3, "channels": None}, ["nelbo"]
        ),
        metrics_csv(run.metrics_csv, 0),
    ]
    history = fit(callbacks).history
    with open(run.metrics_csv, newline="") as file:
        rows = list(csv.DictReader(file))
    names = {"loss", "nelbo", "nll", "kl_w", "gradient_norm", "learning_rate"}
    names |= {"images_per_second", "val_nelbo", "val_nll", "val_kl_w"}
    assert names <= set(rows[0])
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(
        history["learning_rate"]
    )
    # Steps 4 and 8 of a warm-up of 2 and a cosine over the 6 after it.
    np.testing.assert_allclose(
        history["learning_rate"], [0.1 * 0.75, 0.0], atol=1e-7
    )
    for folder, scalars in {
        "train": names - {name for name in names if name.startswith("val_")},
        "validation": {"nelbo", "nll", "kl_w"},
    }.items():
        events = event_accumulator.EventAccumulator(str(run.logs / folder))
        events.Reload()
        tags = set(events.Tags()["tensors"])
        assert scalars <= tags
        # One curve a figure, and epochs counted as they are printed.
        assert not any("evaluation" in tag for tag in tags)
        records = events.Tensors("nelbo")
        assert [record.step for record in records] == [1, 2]
        prefix = "val_" if folder == "validation" else ""
        np.testing.assert_allclose(
            [tf.make_ndarray(record.tensor_proto) for record in records],
            history[f"{prefix}nelbo"],
        )


@pytest.mark.slow
def test_hyperparameters_of_runs_that_differ_by_name_alone(tmp_path):
    """Two rows in the table, each with its validation nelbo."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    parse = plugin_data_pb2.HParamsPluginData.FromString
    names = []
    for name in ("first", "second"):
        run = RunDirectory(tmp_path / name)
        run.create()
        fit(tensorboard_callbacks(run, {"seed": 3}, ["nelbo"]))
        events = event_accumulator.EventAccumulator(str(run.logs))
        events.Reload()
        metadata = {
            tag: events.SummaryMetadata(tag).plugin_data.content
            for tag in events.Tags()["tensors"]
        }
        start = parse(
            metadata["_hparams_/session_start_info"]
        ).session_start_info
        names.append(start.group_name)
        assert start.hparams["seed"].number_value == 3
        config = parse(metadata["_hparams_/experiment"])
        (metric,) = config.experiment.metric_infos
        assert (metric.name.tag, metric.name.group) == ("nelbo", "validation")
    assert names == ["first", "second"]


@pytest.mark.slow
def test_bar_shows_what_fits_the_terminal(monkeypatch, capsys):
    """No line that is overwritten is longer than the terminal is wide."""
    for columns, expected in (("60", 0), ("80", 1), ("100", 2)):
        monkeypatch.setenv("COLUMNS", columns)
        fit([ProgressBar(["nelbo", "nll", "absent"])], epochs=1)
        first, *updates = capsys.readouterr().out.splitlines()
        assert first == "Epoch 1/1"
        text = re.sub("\x1b\\[[0-9]*m|\x08", "", "\n".join(updates))
        lines = text.replace("\r", "\n").splitlines()
        *passing, last = [line for line in lines if "/step" in line]
        assert passing
        for line in passing:
            assert len(line) <= int(columns)
            assert ("nelbo" in line) + ("nll" in line) == expected
        for name in ("nelbo", "nll", "kl_w", "val_nelbo"):
            assert f"{name}: " in last


def test_rows_that_will_be_written_again_are_dropped(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n1,5.0\n2,4.0\n3,3.0\n4,2")
    metrics_csv(path, 2)
    assert path.read_text() == "epoch,loss\n1,5.0\n2,4.0\n"
    path.write_text("epoch,loss\n1,5.0\n2,4.0\n1")
    metrics_csv(path, 2)
    assert "\n2,4.0\n" in path.read_text()


@pytest.mark.slow
def test_a_resumed_file_has_each_epoch_once(tmp_path):
    path = tmp_path / "metrics.csv"
    fit([metrics_csv(path, 0)], epochs=3)
    fit([metrics_csv(path, 2)], epochs=4, first=2)
    with open(path, newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == list("1234")


def test_a_new_run_starts_an_empty_file(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n0,5.0\n")
    metrics_csv(path, 0)
    assert path.read_text() == ""


def test_time_limit_ends_before_the_epoch_that_would_be_late(
    monkeypatch, capsys
):
    clock = Clock()
    monkeypatch.setattr(time_limit, "time", clock)

    class Minute(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            clock.now += 60.0

    limit = TimeLimit(minutes=3.5)
    history = fit([limit, Minute()], epochs=10)
    assert len(history.history["loss"]) == 3
    assert "Stopped after epoch 3" in capsys.readouterr().out


@pytest.mark.slow
def test_time_limit_says_nothing_when_all_epochs_fit(monkeypatch, capsys):
    monkeypatch.setattr(time_limit, "time", Clock())
    assert len(fit([TimeLimit(1.0)], epochs=2).history["loss"]) == 2
    assert capsys.readouterr().out == ""
