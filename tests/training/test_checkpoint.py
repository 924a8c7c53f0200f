import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_model import TinyModel

from kgpm import UserError
from kgpm.files import read_json
from kgpm.training.backup import Progress
from kgpm.training.backup import restore_backup
from kgpm.training.backup import save_backup
from kgpm.training.callbacks.averaged_weights import AveragedWeights
from kgpm.training.callbacks.averaged_weights import averaged_weights
from kgpm.training.callbacks.checkpoint import Checkpoint
from kgpm.training.callbacks.stop_on_nan import StopOnNaN
from kgpm.training.optimizer import make_optimizer
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import load_model

# Keras turns its variables into arrays by a protocol that NumPy 2 has
# deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

MOMENTUM = 0.75
STEPS = 3


def batches(scale=1.0):
    images = np.linspace(0, scale, 12 * 4, dtype="float32")
    images = images.reshape(3, 2, 2, 2, 2, 1)
    return tf.data.Dataset.from_tensor_slices(images).repeat()


def compiled(ema=MOMENTUM, rate=0.1):
    random.seed(1)
    model = TinyModel()
    model.compile(make_optimizer(model, "adam", rate, ema_momentum=ema))
    return model


def fit(model, run, epochs, progress=None, callbacks=(), patience=None):
    progress = Progress() if progress is None else progress
    model.fit(
        batches(),
        validation_data=batches().take(STEPS),
        steps_per_epoch=STEPS,
        initial_epoch=progress.epoch,
        epochs=epochs,
        callbacks=[
            StopOnNaN(),
            AveragedWeights(),
            *callbacks,
            Checkpoint(run, progress, patience),
        ],
        verbose=0,
        shuffle=False,
    )
    return progress


def weights(model):
    return [np.array(variable) for variable in model.trainable_variables]


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path)
    run.create()
    return run


class Record(keras.callbacks.Callback):
    """Keeps the raw weights after each step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(weights(self.model))


class Force(keras.callbacks.Callback):
    """Puts chosen values of val_nelbo into the logs."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_nelbo"] = self.values[epoch]


def test_checkpoints_average_and_the_backup_does_not(run):
    model, record = compiled(), Record()
    fit(model, run, 2, callbacks=[record])
    # The definition: the average starts at the first weights and follows.
    average = record.steps[0]
    for step in record.steps[1:]:
        average = [
            MOMENTUM * old + (1 - MOMENTUM) * new
            for old, new in zip(average, step, strict=True)
        ]
    for value, expected in zip(
        weights(load_model(run.path, "last")), average, strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    restored = compiled()
    restore_backup(run.backup, restored)
    assert_equal(weights(restored), record.steps[-1])


def test_validation_scores_the_averaged_weights(run):
    model = compiled()
    fit(model, run, 1)
    stored = read_json(run.checkpoint("last").with_suffix(".json"))
    last = load_model(run.path, "last")
    last.compile("adam")
    score = last.evaluate(batches().take(STEPS), verbose=0, return_dict=True)
    np.testing.assert_allclose(stored["val_nelbo"], score["nelbo"], rtol=1e-6)


def test_the_weights_come_back_to_the_bit():
    model = compiled(rate=1e-3)
    model.fit(batches(), steps_per_epoch=2, verbose=0, shuffle=False)
    model.dense.kernel.assign([[1e-7]])
    raw = weights(model)
    with averaged_weights(model):
        assert any(
            (new != old).any()
            for new, old in zip(weights(model), raw, strict=True)
        )
    assert_equal(weights(model), raw)


def test_without_averages_nothing_is_swapped():
    model = compiled(ema=0.0)
    raw = weights(model)
    with averaged_weights(model):
        assert_equal(weights(model), raw)


@pytest.mark.slow
@pytest.mark.parametrize("ema", [0.0, MOMENTUM])
def test_resumed_equals_uninterrupted(tmp_path, ema):
    runs = [RunDirectory(tmp_path / name) for name in "ab"]
    for each in runs:
        each.create()
    whole = compiled(ema)
    fit(whole, runs[0], 4)
    fit(compiled(ema), runs[1], 2)
    resumed = compiled(ema)
    resumed.dense.kernel.assign([[9.0]])
    progress = restore_backup(runs[1].backup, resumed)
    assert progress.epoch == 2
    fit(resumed, runs[1], 4, progress)
    assert_equal(weights(resumed), weights(whole))
    assert_equal(
        [np.array(v) for v in resumed.optimizer.variables],
        [np.array(v) for v in whole.optimizer.variables],
    )
    assert read_json(runs[0].backup / "progress.json") == read_json(
        runs[1].backup / "progress.json"
    )


def test_best_is_the_lowest_and_last_the_last(run):
    record = Record()
    progress = fit(
        compiled(0.0), run, 3, callbacks=[record, Force([5.0, 3.0, 4.0])]
    )
    assert (progress.best, progress.best_epoch) == (3.0, 2)
    assert_equal(
        weights(load_model(run.path, "best")), record.steps[2 * STEPS - 1]
    )
    assert_equal(weights(load_model(run.path, "last")), record.steps[-1])
    assert read_json(run.checkpoints / "best.json")["epoch"] == 2
    assert read_json(run.checkpoints / "last.json")["epoch"] == 3


def test_stops_when_patience_has_run_out(run, capsys):
    values = [5.0, 3.0, 3.0, 4.0, 2.0]
    progress = fit(compiled(), run, 5, callbacks=[Force(values)], patience=2)
    assert progress.epoch == 4
    assert "3.00 nats of epoch 2" in capsys.readouterr().out


@pytest.mark.slow
def test_patience_counts_on_after_a_resume(run):
    values = [5.0, 3.0, 3.5, 4.0, 2.0]
    fit(compiled(), run, 3, callbacks=[Force(values)], patience=2)
    model = compiled()
    progress = restore_backup(run.backup, model)
    assert not progress.out_of_patience(2)
    fit(model, run, 5, progress, [Force(values)], patience=2)
    assert progress.epoch == 4
    assert restore_backup(run.backup, model).out_of_patience(2)


def test_nan_names_the_step_and_keeps_the_last_good_epoch(run):
    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 2 * STEPS + 1:
                self.model.dense.kernel.assign([[math.nan]])

    with pytest.raises(UserError, match=r"loss .* step 2 of epoch 3 .*step 8"):
        fit(compiled(), run, 5, callbacks=[Poison()])
    model = compiled()
    assert restore_backup(run.backup, model).epoch == 2
    for value in [*weights(model), *weights(load_model(run.path, "last"))]:
        assert np.isfinite(value).all()


def test_a_gradient_that_overflows_in_the_last_step_saves_nothing(run):
    # The loss of this step is finite and only the weights that it would
    # leave behind are not.
    callback = StopOnNaN()
    callback.set_model(compiled())
    logs = {"loss": 1.0, "gradient_norm": math.inf}
    with pytest.raises(UserError, match="gradient_norm became inf"):
        callback.on_train_batch_end(STEPS - 1, logs)
    with pytest.raises(UserError, match="val_nll became nan"):
        callback.on_epoch_end(0, {"loss": 1.0, "val_nll": math.nan})


def test_only_the_newest_backup_is_kept(run):
    fit(compiled(), run, 3)
    assert sorted(path.name for path in run.backup.iterdir()) == [
        "epoch-000003.npz",
        "model.json",
        "progress.json",
    ]


def test_a_crash_between_values_and_progress_keeps_the_old_backup(
    run, monkeypatch
):
    model = compiled()
    save_backup(run.backup, model, Progress(epoch=1))
    before = weights(model)
    model.dense.kernel.assign([[7.0]])

    def crash(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kgpm.training.backup.write_json", crash)
    with pytest.raises(OSError, match="No space"):
        save_backup(run.backup, model, Progress(epoch=2))
    assert restore_backup(run.backup, model).epoch == 1
    assert_equal(weights(model), before)


def test_a_damaged_or_foreign_backup_is_a_user_error(run):
    save_backup(run.backup, compiled(MOMENTUM), Progress(epoch=1))
    with pytest.raises(UserError, match="another model or optimizer"):
        restore_backup(run.backup, compiled(ema=0.0))
    path = run.backup / "epoch-000001.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged or gone"):
        restore_backup(run.backup, compiled(MOMENTUM))


def test_nothing_to_restore_is_a_new_run(run):
    assert restore_backup(run.backup, compiled()) == Progress()
