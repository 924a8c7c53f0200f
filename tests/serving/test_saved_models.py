"""The export that comes with the repository answers as its card says."""

import re

import numpy as np
import pytest

from kgpm import data
from kgpm.serving import ExportedModel
from tests.conftest import ROOT

DIGITS = ROOT / "saved_models" / "digits"


@pytest.fixture(scope="module")
def digits():
    return ExportedModel(DIGITS)


@pytest.fixture(scope="module")
def episodes():
    images = data.load_images(
        "digits", split="test", binarize="threshold", image_size=28
    )
    batches = data.episodes(
        images, episode_length=16, batch_size=22, shuffle=False
    )
    return next(iter(batches))["images"].numpy()


def test_it_is_small():
    files = [path for path in DIGITS.rglob("*") if path.is_file()]
    assert 1e6 < sum(path.stat().st_size for path in files) < 3e6


@pytest.mark.slow
def test_it_scores_as_its_card_says(digits, episodes):
    """22 of the 23 episodes that the card is about, with another noise."""
    memory = digits.call("write", {"episode": episodes})
    seed = np.array([1, 2], "int32")
    terms = digits.call("score", {"query": episodes, "seed": seed, **memory})
    card = (digits.path / "README.md").read_text(encoding="utf-8")
    row = re.search(r"^A +conditional +([\d.]+) ± ([\d.]+)", card, re.M)
    mean, error = map(float, row.groups())
    assert abs(terms["nelbo"].mean() - mean) < 2.0 * error


@pytest.mark.slow
def test_it_cleans_what_was_written(digits, episodes):
    memory = digits.call("write", {"episode": episodes})
    flipped = np.random.default_rng(0).random(episodes.shape) < 0.15
    damaged = np.where(flipped, 1.0 - episodes, episodes).astype("float32")
    inputs = {"query": damaged, "steps": 3, **memory}
    steps = digits.call("denoise", inputs)["images"]
    wrong = np.abs(steps - episodes[:, None]).mean(axis=(0, 2, 3, 4, 5))
    assert 0.14 < flipped.mean() < 0.16
    # 6.5 of 784 pixels are 0.0083; reading again spoils nothing.
    assert wrong[0] < 0.012
    assert wrong[2] < wrong[0] + 1e-4
