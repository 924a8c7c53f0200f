"""The figures that compare MemoryVAE and VQVAE, on tiny models."""

import csv

import keras
import matplotlib.image
import numpy as np
import pytest

from kgpm import data
from kgpm import models
from kgpm.experiments import memory_vae_runs
from kgpm.experiments.training_runs import TrainedRun
from kgpm.training.evaluation import evaluate
from tests.models.conftest import GRID
from tests.test_reproduce import call
from tests.test_reproduce import store

BASE = """
--dataset=digits
--image_size=8
--episode_length=10
--batch_size=2
--steps_per_epoch=50
"""
TINY = {**GRID, "likelihood": None}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Untrained models in place of trainings, evaluated in earnest."""
    (tmp_path / "base.cfg").write_text(BASE)
    test = data.load_images("digits", "test", image_size=8)
    settings_of = {}

    def train(folder, base, *, seed, epochs, data_dir, model, **settings):
        sizes = {
            "memory_vae": {"memory_size": 8},
            "vq_vae": {"num_embeddings": 8},
            "autoencoder": {},
        }[model]
        settings_of[folder.name] = settings
        if not folder.exists():
            keras.utils.set_random_seed(seed)
            made = models.get(model)(**{**TINY, **sizes, **settings})
            store(folder, made)
        made = keras.saving.load_model(folder / "checkpoints/best.keras")
        batches = data.episodes(test, 10, 2, shuffle=False)
        result = evaluate(made, batches)
        epochs = {
            "epoch": np.arange(1.0, 4.0),
            "nmse": 1.0 / np.arange(1.0, 4.0) + seed,
        }
        if model != "autoencoder":
            epochs["perplexity"] = np.arange(3.0) + 1.0
        return TrainedRun(epochs, result)

    monkeypatch.setattr(memory_vae_runs, "train", train)
    return tmp_path, test, settings_of


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_convergence_with_its_controls(trained, capfd):
    folder, test, settings_of = trained
    code = call(
        "--figure=memory_vae_convergence",
        f"--model_dir={folder}",
        f"--base={folder / 'base.cfg'}",
        "--num_seeds=2",
        "--variants=memory_vae,memory_vae_cosine,vq_vae,autoencoder",
    )
    captured = capfd.readouterr()
    assert code == 0, captured.err
    assert settings_of["memory_vae_cosine_1"] == {"similarity": "cosine"}
    rows = rows_of(folder / "memory_vae_convergence.csv")
    kinds = {(row["variant"], row["read"]) for row in rows}
    reads = {"as trained", "likeliest row", "drawn row"}
    assert kinds == {
        *(("memory_vae", read) for read in reads),
        *(("memory_vae_cosine", read) for read in reads),
        ("vq_vae", "as trained"),
        ("autoencoder", "as trained"),
    }
    assert len(rows) == 2 * len(kinds)
    found = {
        (row["variant"], row["read"], row["seed"]): row
        for row in rows
        if row["seed"] == "1"
    }
    # NumPy's: the nearest row, and what its weights say of a drawn one.
    path = folder / "memory_vae_1/checkpoints/best.keras"
    model = keras.saving.load_model(path)
    images = test.images.astype("float32") / 255
    vectors = np.reshape(model.encode(images), (-1, 6))
    memory = np.asarray(model.memory.rows)
    distances = np.square(vectors[:, None] - memory).sum(-1)
    latents = np.reshape(memory[distances.argmin(-1)], (len(images), -1))
    read = np.asarray(model.likelihood.mean(model.decode(latents)))
    expected = np.square(read - images).mean() / GRID["data_variance"]
    hard = found["memory_vae", "likeliest row", "1"]
    assert float(hard["nmse"]) == pytest.approx(expected, rel=1e-4)
    weights = np.exp(-distances)
    weights = (weights / weights.sum(-1, keepdims=True)).astype("float64")
    rng = np.random.default_rng(0)
    drawn = [rng.choice(8, p=each / each.sum()) for each in weights]
    latents = np.reshape(memory[drawn], (len(images), -1))
    read = np.asarray(model.likelihood.mean(model.decode(latents)))
    expected = np.square(read - images).mean() / GRID["data_variance"]
    soft = found["memory_vae", "drawn row", "1"]
    assert float(soft["nmse"]) == pytest.approx(expected, rel=0.02)
    # Mutual information of place and row, were it drawn.
    mean = weights.mean(0)
    rate = -(mean * np.log(mean)).sum() * 4
    rate += (weights * np.log(weights)).sum() / len(images)
    assert float(hard["rate_nats"]) == pytest.approx(rate, abs=1e-3)
    assert found["autoencoder", "as trained", "1"]["rate_nats"] == ""
    text = (folder / "memory_vae_convergence.md").read_text()
    assert "soft memory, drawn row" in text and "2 seeds" in text
    image = matplotlib.image.imread(folder / "memory_vae_convergence.png")
    assert image.shape[1] > 3 * 400 and image[..., :3].std() > 0.0


def test_reconstructions(trained, capfd):
    folder, test, settings_of = trained
    code = call(
        "--figure=memory_vae_reconstructions",
        f"--model_dir={folder}",
        f"--base={folder / 'base.cfg'}",
        "--num_samples=3",
    )
    assert code == 0, capfd.readouterr().err
    # One seed is enough for a picture.
    assert set(settings_of) == {"memory_vae_0", "vq_vae_0", "autoencoder_0"}
    rows = rows_of(folder / "memory_vae_reconstructions.csv")
    assert len(rows) == 3
    path = folder / "vq_vae_0/checkpoints/best.keras"
    model = keras.saving.load_model(path)
    images = test.images[:3].astype("float32") / 255
    error = np.square(model.read(images) - images).mean((1, 2, 3))
    expected = error / GRID["data_variance"]
    got = [float(row["nmse VQ-VAE"]) for row in rows]
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    picture = folder / "memory_vae_reconstructions.png"
    assert matplotlib.image.imread(picture)[..., :3].std() > 0.0


def test_an_unknown_variant_is_one_sentence(trained, capfd):
    folder, *_ = trained
    code = call(
        "--figure=memory_vae_convergence",
        f"--model_dir={folder}",
        f"--base={folder / 'base.cfg'}",
        "--variants=memory_vea",
    )
    assert code == 2
    err = capfd.readouterr().err
    assert "received 'memory_vea'" in err and err.count("\n") == 1
