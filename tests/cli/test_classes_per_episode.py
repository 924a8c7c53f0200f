"""`--classes_per_episode`, from the flag to the batches."""

import numpy as np
import pytest

from kgpm import UserError
from kgpm import data
from kgpm.cli import training_job
from kgpm.cli.images import evaluation_batches
from kgpm.cli.images import load_split
from kgpm.cli.main import training_flags

DIGITS = (
    "--dataset=digits",
    "--image_size=8",
    "--binarize=threshold",
    "--episode_length=20",
    "--batch_size=4",
    "--model=vae",
    "--width=4",
    "--log_images_every=0",
)


def parsed(folder, *arguments):
    return training_flags(*DIGITS, f"--model_dir={folder / 'run'}", *arguments)


@pytest.mark.slow
def test_training_episodes_have_so_many_classes(tmp_path):
    values = parsed(tmp_path, "--classes_per_episode=5")
    job = training_job.prepare_job(values)
    classes = {}
    for image, label in zip(job.train.images, job.train.labels, strict=True):
        classes.setdefault((image > 0).tobytes(), set()).add(int(label))
    batch = next(iter(training_job.training_batches(values, job)))
    for episode in np.asarray(batch["images"]):
        labels = [classes[(image > 0).tobytes()] for image in episode]
        # At 8 x 8 pixels, two digits may look the same.
        certain = [label for label in labels if len(label) == 1]
        counts = np.bincount([label.pop() for label in certain], minlength=10)
        assert np.count_nonzero(counts) == 5
        assert counts.max() <= 4 and counts.sum() > 15
    assert job.steps_per_epoch == data.num_batches(
        job.train, 20, 4, shuffle=True, classes_per_episode=5
    )


@pytest.mark.slow
def test_stored_runs_are_scored_with_as_many(tmp_path):
    """359 digits: 18 episodes of any class, 19 of two of each class."""
    for arguments, expected in (((), 18), (("--classes_per_episode=10",), 19)):
        values = parsed(tmp_path, *arguments)
        images = load_split(values, "test")
        batches = evaluation_batches(values, images, 4)
        weights = np.concatenate([batch["weights"] for batch in batches])
        assert len(weights) == expected
        assert weights.sum() == len(images) == 359


def test_too_many_classes_leave_no_trace(tmp_path):
    values = parsed(tmp_path, "--classes_per_episode=20")
    with pytest.raises(UserError, match="at most the 10 classes"):
        training_job.prepare_job(values)
    assert not (tmp_path / "run").exists()
