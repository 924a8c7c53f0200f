"""A run that broke off ends with the weights of one that did not."""

import keras
import numpy as np
import pytest

from kgpm import train
from kgpm.cli import flags
from kgpm.cli import training_job
from kgpm.cli.main import parse
from kgpm.models import MODELS
from kgpm.models import KeyedMemoryModel

SMALL = (
    "--dataset=digits",
    "--image_size=8",
    "--binarize=threshold",
    "--code_size=4",
    "--width=4",
    "--episode_length=4",
    "--batch_size=16",
    "--steps_per_epoch=2",
    "--epochs=3",
    "--ema_momentum=0.5",
    "--log_images_every=0",
    "--verbose=0",
)


class PowerCut(Exception):
    """What no callback expects."""


class FailIn(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations >= 2 * self.epoch + 1:
            raise PowerCut


def run(name, model_dir, *arguments):
    values = flags.FlagValues()
    train.define_flags(values)
    small = [*SMALL, f"--model={name}", f"--model_dir={model_dir}"]
    if issubclass(MODELS[name], KeyedMemoryModel):
        small += ["--memory_size=8", "--window_size=8", "--hidden_size=8"]
        small.append("--encoder=tsm_resnet_small")
    elif MODELS[name].has_memory:
        small.append("--memory_size=2")
    parse(values, [*small, *arguments])
    keras.utils.set_random_seed(values.seed)
    job = training_job.prepare_job(values)
    training_job.fit(values, job)
    return job


# Nobody closes the files of a run that a power cut ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", sorted(MODELS))
def test_resumed_is_as_uninterrupted(name, tmp_path, monkeypatch):
    whole = run(name, tmp_path / "whole")
    callbacks = training_job._callbacks
    with monkeypatch.context() as patch:
        patch.setattr(
            training_job,
            "_callbacks",
            lambda *args: [*callbacks(*args), FailIn(epoch=2)],
        )
        with pytest.raises(PowerCut):
            run(name, tmp_path / "cut")
    resumed = run(name, tmp_path / "cut", "--resume")
    assert resumed.progress.epoch == whole.progress.epoch == 3
    for job in (whole, resumed):
        assert int(job.model.optimizer.iterations) == 6
    for ours, theirs in zip(
        [*resumed.model.weights, *resumed.model.optimizer.variables],
        [*whole.model.weights, *whole.model.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=theirs.path)
