"""The figures that compare MemoryVAE and VQVAE, on tiny models."""

import csv
import random

import keras
import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import special

from kgpm import data
from kgpm.cli.main import training_flags
from kgpm.cli.parts import make_model
from kgpm.evaluation.evaluation import evaluate
from kgpm.experiments import memory_vae_runs
from kgpm.experiments.training_runs import TrainedRun
from kgpm.pictures import drawing
from tests.test_reproduce import call
from tests.test_reproduce import store

BASE = """
--dataset=digits
--image_size=8
--episode_length=10
--batch_size=2
--steps_per_epoch=50
"""
VARIANCE = 0.24
TINY = {
    "width": "4,6",
    "residual_width": 4,
    "embedding_dim": 6,
    "data_variance": VARIANCE,
}


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
            "grid_autoencoder": {},
        }[model]
        settings_of[folder.name] = settings
        if not folder.exists():
            random.seed(seed)
            given = {**TINY, **sizes, **settings, "model": model}
            values = training_flags(
                f"--model_dir={folder}",
                *(f"--{name}={value}" for name, value in given.items()),
            )
            store(folder, make_model(values, (8, 8, 1)))
        made = keras.saving.load_model(folder / "checkpoints/best.keras")
        batches = data.episodes(test, 10, 2, shuffle=False)
        result = evaluate(made, batches)
        epochs = {
            "epoch": np.arange(1.0, 4.0),
            "nmse": 1.0 / np.arange(1.0, 4.0) + seed,
        }
        if model != "grid_autoencoder":
            epochs["perplexity"] = np.arange(3.0) + 1.0
        if model == "memory_vae":
            epochs["address_entropy"] = np.arange(3.0)
            epochs["beta"] = np.arange(3.0) + 1.5
        return TrainedRun(epochs, result)

    monkeypatch.setattr(memory_vae_runs, "train", train)
    return tmp_path, test, settings_of


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_convergence_with_its_controls(trained, capfd, monkeypatch):
    folder, test, settings_of = trained
    line_plot, drawn = drawing.line_plot, []
    monkeypatch.setattr(
        drawing,
        "line_plot",
        lambda panels, path: drawn.extend(panels) or line_plot(panels, path),
    )
    code = call(
        "--figure=memory_vae_convergence",
        f"--model_dir={folder}",
        f"--base={folder / 'base.cfg'}",
        "--num_seeds=2",
        "--variants=memory_vae,grid_autoencoder,memory_vae_cosine,vq_vae",
    )
    captured = capfd.readouterr()
    assert code == 0, captured.err
    assert settings_of["memory_vae_cosine_1"] == {"similarity": "cosine"}
    rows = rows_of(folder / "memory_vae_convergence.csv")
    kinds = {(row["variant"], row["read"]) for row in rows}
    reads = ("soft", "hard", "sampled")
    assert kinds == {
        *(("memory_vae", read) for read in reads),
        *(("memory_vae_cosine", read) for read in reads),
        ("vq_vae", ""),
        ("grid_autoencoder", ""),
    }
    assert len(rows) == 2 * len(kinds)
    found = {
        (row["variant"], row["read"]): row for row in rows if row["seed"] == "1"
    }
    # NumPy's, with the weights of the distances.
    path = folder / "memory_vae_1/checkpoints/best.keras"
    model = keras.saving.load_model(path)
    images = test.images.astype("float32") / 255
    vectors = np.reshape(model.encode(images), (-1, 6)).astype("float64")
    memory = np.asarray(model.memory.soft_memory.rows)
    distances = np.square(vectors[:, None] - memory).sum(-1)
    weights = special.softmax(-distances, axis=-1)
    entropy = 4 * special.entr(weights).sum(-1).mean()
    hard = np.eye(8)[distances.argmin(-1)]
    for read, chosen in (("soft", weights), ("hard", hard)):
        row = found["memory_vae", read]
        latents = np.reshape(chosen @ memory, (len(images), 2, 2, 6))
        made = np.asarray(model.likelihood.mean(model.decode(latents)))
        expected = np.square(made - images).mean() / VARIANCE
        assert float(row["nmse"]) == pytest.approx(expected, rel=1e-4)
        uses = special.entr(chosen.mean(0)).sum()
        assert float(row["perplexity"]) == pytest.approx(np.exp(uses), rel=1e-4)
        assert float(row["address_entropy"]) == pytest.approx(entropy, rel=1e-4)
    # Real numbers pass a soft read; rows, whose entropy is the most that
    # they can say, a hard one; and of a sampled one the noise says nothing.
    rates = {r: found["memory_vae", r]["rate_nats"] for r in reads}
    assert rates["soft"] == ""
    assert float(rates["hard"]) == pytest.approx(4 * uses, rel=1e-4)
    # Three standard deviations of what 1,436 draws show.
    mean = 4 * special.entr(weights.mean(0)).sum() - entropy
    assert float(rates["sampled"]) == pytest.approx(mean, abs=0.1)
    assert found["grid_autoencoder", ""]["rate_nats"] == ""
    codes = float(found["vq_vae", ""]["perplexity"])
    assert float(found["vq_vae", ""]["rate_nats"]) == pytest.approx(
        4 * np.log(codes)
    )
    curves = rows_of(folder / "memory_vae_convergence_curves.csv")
    assert len(curves) == 4 * 2 * 3
    assert curves[0]["minibatches"] == "50" and curves[1]["nmse"] == "0.5"
    assert curves[0]["beta"] == "1.5" and curves[-1]["beta"] == ""
    text = (folder / "memory_vae_convergence.md").read_text()
    assert "soft memory, sampled read" in text and "2 seeds" in text
    # A model has one colour in all panels, also where another has no curve.
    lines = {}
    for panel in drawn[:3]:
        axes = Figure().add_subplot()
        panel.draw(axes)
        for line in axes.containers:
            lines.setdefault(line.get_label(), []).append(line[0].get_color())
    assert [len(colours) for colours in lines.values()] == [3, 1, 3, 2]
    assert all(len(set(colours)) == 1 for colours in lines.values())
    assert len({colours[0] for colours in lines.values()}) == 4
    image = matplotlib.image.imread(folder / "memory_vae_convergence.png")
    # Four panels in two rows.
    assert image.shape[1] > 2 * 400 and image.shape[0] > 2 * 300
    assert image[..., :3].std() > 0.0


@pytest.mark.slow
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
    assert set(settings_of) == {
        "memory_vae_0",
        "vq_vae_0",
        "grid_autoencoder_0",
    }
    rows = rows_of(folder / "memory_vae_reconstructions.csv")
    assert len(rows) == 3
    path = folder / "vq_vae_0/checkpoints/best.keras"
    model = keras.saving.load_model(path)
    images = test.images[:3].astype("float32") / 255
    error = np.square(model.read(images) - images).mean((1, 2, 3))
    expected = error / VARIANCE
    got = [float(row["nmse VQ-VAE"]) for row in rows]
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    picture = folder / "memory_vae_reconstructions.png"
    assert matplotlib.image.imread(picture)[..., :3].std() > 0.0


def test_an_unknown_variant_is_one_sentence(trained, capfd):
    folder, *_ = trained
    for names, words in (
        ("memory_vea", "received 'memory_vea'"),
        ("", "at least one model"),
    ):
        code = call(
            "--figure=memory_vae_convergence",
            f"--model_dir={folder}",
            f"--base={folder / 'base.cfg'}",
            f"--variants={names}",
        )
        assert code == 2
        err = capfd.readouterr().err
        assert words in err and err.count("\n") == 1
