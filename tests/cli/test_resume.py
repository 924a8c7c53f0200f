"""A run that broke off ends with the weights of one that did not."""

import json
import random
import shutil

import keras
import numpy as np
import pytest

from kgpm.cli import flags
from kgpm.cli import training_job
from kgpm.cli.main import training_flags

# By what a step moves beside weights that have a gradient: nothing, with a
# memory and without; statistics and singular vectors; running means of codes;
# and a loss of its own. That all else is in variables too, test_save_and_load
# says of every model.
NAMES = ("gpm", "vae", "kpp", "vq_vae", "vma")
SMALL = (
    "--dataset=digits",
    "--image_size=8",
    "--binarize=threshold",
    "--width=4",
    "--episode_length=4",
    "--batch_size=16",
    "--steps_per_epoch=2",
    "--epochs=3",
    "--ema_momentum=0.5",
    "--log_images_every=0",
    "--verbose=0",
)


class CopyIn(keras.callbacks.Callback):
    """Copies a run in the midst of an epoch: what a power cut would leave."""

    def __init__(self, epoch, source, target):
        super().__init__()
        self.step = 2 * epoch + 1
        self.source = source
        self.target = target

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations == self.step:
            shutil.copytree(self.source, self.target)


def run(name, model_dir, *arguments):
    keyed = name == "kpp"
    sizes = {
        "code_size": 4,
        "hidden_size": 8,
        "memory_size": 8 if keyed else 2,
        "window_size": 8,
    }
    small = [*SMALL, f"--model={name}", f"--model_dir={model_dir}"]
    small += [
        f"--{each}={size}"
        for each, size in sizes.items()
        if name in flags.row(each).defaults
    ]
    if keyed:
        small += ["--encoder=tsm_resnet_small", "--num_blocks=1"]
    values = training_flags(*small, *arguments)
    random.seed(values.seed)
    job = training_job.prepare_job(values)
    training_job.fit(values, job)
    return job


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_resumed_is_as_uninterrupted(name, tmp_path, monkeypatch):
    copy = CopyIn(2, tmp_path / "whole", tmp_path / "cut")
    callbacks = training_job.training_callbacks
    with monkeypatch.context() as patch:
        patch.setattr(
            training_job,
            "training_callbacks",
            lambda *args: [*callbacks(*args), copy],
        )
        whole = run(name, tmp_path / "whole")
    progress = json.loads((tmp_path / "cut/backup/progress.json").read_text())
    assert progress["epoch"] == 2
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
