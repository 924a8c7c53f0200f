"""The figures that compare runs of GPM, on untrained models."""

import csv

import keras
import matplotlib.image
import numpy as np
import pytest

from kgpm import data
from kgpm import ops
from kgpm.evaluation.retrieval import measure_retrieval
from kgpm.layers import PseudoInverseMemory
from kgpm.models import GPM
from kgpm.models import VAE
from kgpm.models import SlotMemoryVAE
from tests.models.conftest import SMALL
from tests.test_reproduce import call
from tests.test_reproduce import store


def per_slot(**options):
    return PseudoInverseMemory(4, 10, posterior="per_slot", **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("runs")
    models = {
        "linear": GPM(memory_size=4, **SMALL),
        "slots": SlotMemoryVAE(memory_size=16, **SMALL),
        "per_slot": GPM(memory=per_slot(), **SMALL),
        "vae": VAE(**SMALL),
    }
    return {
        name: (store(folder / name, model), model)
        for name, model in models.items()
    }


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def split(seed=0):
    return data.load_images(
        "digits", "test", image_size=8, binarize="threshold", seed=seed
    )


@pytest.mark.slow
def test_capacity(runs, capfd):
    """One cell again: each episode under the memory of the one before it."""
    folder, _ = runs["linear"]
    slots, model = runs["slots"]
    code = call(
        "--figure=gpm_capacity",
        f"--model_dir={folder}",
        f"--runs={slots}",
        "--lengths=64,40",
        "--images_per_step=130",
        # Of the run; a class has too few images for such lengths.
        "--classes_per_episode=2",
    )
    assert code == 0, capfd.readouterr().err
    rows = rows_of(folder / "gpm_capacity.csv")
    found = {
        (r["run"], r["length"], r["figure"], r["term"]): float(r["nats"])
        for r in rows
    }
    assert {key[0] for key in found} == {"linear", "slots"}
    assert {key[1] for key in found} == {"64", "40"}
    batches = list(
        data.episodes(split(), episode_length=64, batch_size=6, shuffle=False)
    )
    assert len(batches) == 1
    images, weights = batches[0]["images"], batches[0]["weights"]
    memory = model.write(images, weights)
    other = {name: np.roll(value, 1, axis=0) for name, value in memory.items()}
    mask = np.asarray(weights) > 0
    for figure, each in (("A", memory), ("C_other", other)):
        # The divergences have no noise: exact sums.
        terms = model.query_terms(images, each, seed=0)
        for term in ("kl_a", "kl_z"):
            expected = np.asarray(terms[term])[mask].mean()
            got = found["slots", "64", figure, term]
            assert got == pytest.approx(expected, rel=1e-3, abs=1e-6)
    per_image = {r["length"]: r["floats_per_image"] for r in rows}
    assert float(per_image["64"]) == 16 * 11 / 64
    for kind in ("md", "png"):
        assert (folder / f"gpm_capacity.{kind}").stat().st_size > 200


@pytest.mark.slow
def test_denoising(runs, monkeypatch, capfd):
    from kgpm.experiments import gpm_denoising

    monkeypatch.setattr(
        gpm_denoising,
        "LEVELS",
        {"salt_and_pepper": (0.2,), "block": (3.0,)},
    )
    folder, model = runs["linear"]
    code = call(
        "--figure=gpm_denoising",
        f"--model_dir={folder}",
        f"--runs={runs['vae'][0]}",
        "--num_steps=2",
        "--num_targets=20",
        "--batch_size=2",
    )
    assert code == 0, capfd.readouterr().err
    rows = rows_of(folder / "gpm_denoising.csv")
    keys = [(r["noise"], r["level"], r["run"]) for r in rows]
    assert len(keys) == len(set(keys)) == 4
    batches = data.episodes(
        split(), episode_length=10, batch_size=2, shuffle=False
    )
    retrieval = measure_retrieval(
        model,
        batches,
        data.make_corruption("salt_and_pepper", 0.2, binary=True),
        num_steps=2,
        num_images=20,
    )
    row = rows[keys.index(("salt_and_pepper", "0.2", "linear"))]
    errors = retrieval.read_errors.mean(axis=0)
    assert float(row["query"]) == pytest.approx(retrieval.query_errors.mean())
    assert float(row["first"]) == pytest.approx(errors[0], rel=1e-3)
    assert float(row["last"]) == pytest.approx(errors[1], rel=1e-3)
    assert "| block | 3 | vae |" in (folder / "gpm_denoising.md").read_text()
    image = matplotlib.image.imread(folder / "gpm_denoising.png")
    assert image[..., :3].std() > 0.0


@pytest.mark.slow
def test_shared_noise(runs, monkeypatch, capfd):
    """One point again: the noise that is drawn is all that differs."""
    from kgpm.experiments import gpm_shared_noise

    monkeypatch.setattr(gpm_shared_noise, "LOG_VARIANCES", np.array([-3.0, 0]))
    folder, model = runs["per_slot"]
    code = call(
        "--figure=gpm_shared_noise",
        f"--model_dir={folder}",
        "--num_targets=40",
        "--batch_size=4",
    )
    assert code == 0, capfd.readouterr().err
    rows = rows_of(folder / "gpm_shared_noise.csv")
    found = {
        (r["shared_noise"], float(r["log_variance"])): float(r["nats"])
        for r in rows
    }
    assert len(found) == 4
    batch = next(
        iter(
            data.episodes(
                split(), episode_length=10, batch_size=4, shuffle=False
            )
        )
    )
    for shared in (True, False):
        twin = GPM(memory=per_slot(shared_noise=shared), **SMALL)
        twin.set_weights(model.get_weights())
        twin.memory.address_posterior.w_log_variance.assign(np.zeros(4))
        terms = twin.bound_terms(
            batch["images"], batch["weights"], ops.fold_in(0, 0)
        )
        expected = np.mean(ops.nelbo(terms))
        assert found[str(shared), 0.0] == pytest.approx(expected, rel=1e-3)
    assert (folder / "gpm_shared_noise.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("figure", "main", "others", "message"),
    [
        ("gpm_capacity", "vae", "", "vae has none"),
        ("gpm_capacity", "linear", "linear", "to end in different names"),
        ("gpm_denoising", "linear", "nowhere", "nowhere"),
        ("gpm_shared_noise", "linear", "", "--posterior=per_slot"),
    ],
)
def test_mistakes(runs, figure, main, others, message, capfd):
    arguments = [f"--figure={figure}", f"--model_dir={runs[main][0]}"]
    if others:
        arguments.append(f"--runs={runs.get(others, [others])[0]}")
    assert call(*arguments) == 2
    err = capfd.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_length_that_fills_no_second_episode(runs, capfd):
    arguments = ("--figure=gpm_capacity", "--lengths=1000")
    assert call(*arguments, f"--model_dir={runs['linear'][0]}") == 2
    assert "more than one episode" in capfd.readouterr().err
