"""The figures of the papers, on a tiny run and on tiny trainings."""

import csv
import random

import matplotlib.image
import numpy as np
import pytest

from kgpm import UserError
from kgpm import experiments
from kgpm import reproduce
from kgpm.cli import flags
from kgpm.cli.main import run
from kgpm.cli.run_flags import save_run_flags
from kgpm.experiments import kpp_ablation
from kgpm.experiments import kpp_sizes
from kgpm.experiments import kpp_windows
from kgpm.experiments.training_runs import TrainedRun
from kgpm.experiments.training_runs import train
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import save_model
from tests.models.conftest import addressed
from tests.models.conftest import keyed

DATA = ("--image_size=8", "--binarize=threshold", "--episode_length=10")
PICTURES = {
    "kpp_reads": [
        "kpp_reads_generation.png",
        "kpp_reads_denoising.png",
        "kpp_reads_nll.png",
    ],
    "kpp_keys": ["kpp_keys_perturbed.png", "kpp_keys_random.png"],
    "kpp_windows": ["kpp_windows_image.png", "kpp_windows_memory.png"],
}


def call(*arguments):
    return run(
        "kgpm.reproduce",
        reproduce.main,
        reproduce.define_flags,
        reproduce.__doc__,
        # Determinism is for the process, and these tests share one.
        [*arguments, "--nodeterministic"],
        check=reproduce.check,
    )


def store(path, model):
    values = flags.define(flags.FlagValues(), "run", "data")
    values(["", f"--model_dir={path}", *DATA])
    RunDirectory(path).create()
    save_run_flags(values)
    save_model(model, RunDirectory(path).checkpoint("best"))
    return path


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run of an untrained Kanerva++ on 8 x 8 digits."""
    random.seed(0)
    return store(tmp_path_factory.mktemp("run"), keyed())


@pytest.mark.slow
@pytest.mark.parametrize("figure", PICTURES)
def test_a_figure_of_a_run(figure, finished_run, capfd):
    code = call(
        f"--figure={figure}",
        f"--model_dir={finished_run}",
        "--num_steps=3",
        "--num_samples=4",
    )
    captured = capfd.readouterr()
    assert code == 0, captured.err
    for name in PICTURES[figure]:
        path = finished_run / name
        assert f"wrote {path}" in captured.out
        image = matplotlib.image.imread(path)
        assert image.shape[0] > 80 and image.shape[1] > 200
        assert image[..., :3].std() > 0.0


def test_a_frame_is_where_the_window_reads():
    """The middle half of an image that is white there and black around."""
    image = np.zeros((33, 33, 1))
    image[8:25, 8:25] = 1.0
    window = (0.45, 0.0, 0.0)
    inside = kpp_windows._read(image, window)
    np.testing.assert_allclose(inside, np.ones_like(inside))
    coloured = np.ptp(kpp_windows.framed(image, window), axis=-1) > 0.0
    rows = np.flatnonzero(coloured.any(axis=1))
    expected = (np.array([-0.45, 0.45]) + 1) / 2 * 63
    np.testing.assert_allclose(rows[[0, -1]], expected, atol=1.0)
    assert not coloured[rows[0] + 2 : rows[-1] - 1, 28:36].any()


def fake_training(monkeypatch, module):
    """Trainings whose figures tell which flags they were given."""
    calls = []

    def trained(folder, base, **settings):
        calls.append((folder.name, base, settings))
        seed = settings["seed"]
        level = 10.0 if settings.get("model") == "kpp" else 30.0
        level += settings.get("episode_length", 0) + seed
        level += settings.get("num_reads", 0)
        epochs = {
            "epoch": np.arange(1.0, 4.0),
            "val_nelbo": level + np.arange(3.0),
        }
        terms = {n: {"mean": level} for n in ("nelbo", "kl_z", "kl_y")}
        figures = {"A": terms, "B": terms, "C_other": None}
        return TrainedRun(epochs, {"figures": figures, "parameters": 7})

    monkeypatch.setattr(module, "train", trained)
    return calls


def test_the_ablation_compares_seeds(monkeypatch, tmp_path, capfd):
    calls = fake_training(monkeypatch, kpp_ablation)
    code = call(
        "--figure=kpp_ablation",
        f"--model_dir={tmp_path}",
        "--base=some.cfg",
        "--num_seeds=2",
        "--epochs=3",
    )
    assert code == 0, capfd.readouterr().err
    assert [name for name, *_ in calls] == [
        "kpp_0",
        "kpp_1",
        "kpp_dense_0",
        "kpp_dense_1",
    ]
    assert all(settings["epochs"] == 3 for *_, settings in calls)
    lines = (tmp_path / "kpp_ablation.csv").read_text().splitlines()
    assert lines[0] == "model,seed,parameters,figure,nelbo"
    assert lines[1] == "kpp,0,7,A,10.0" and lines[-1] == "kpp_dense,1,7,B,31.0"
    assert matplotlib.image.imread(tmp_path / "kpp_ablation.png").ndim == 3


def test_sizes_keep_the_images_of_a_step(monkeypatch, tmp_path, capfd):
    calls = fake_training(monkeypatch, kpp_sizes)
    code = call(
        "--figure=kpp_sizes",
        f"--model_dir={tmp_path}",
        "--base=some.cfg",
        "--lengths=5,64",
        "--reads=1,4",
        "--images_per_step=320",
    )
    assert code == 0, capfd.readouterr().err
    settings = {name: each for name, _, each in calls}
    for name in ("length_5_0", "length_64_0"):
        each = settings[name]
        assert each["episode_length"] * each["batch_size"] == 320
    assert settings["reads_4_0"]["num_reads"] == 4
    assert (tmp_path / "kpp_sizes.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_training_is_done_once(tmp_path, capfd):
    base = tmp_path / "base.cfg"
    base.write_text(
        "\n".join(
            [
                "--dataset=digits",
                *DATA,
                "--batch_size=4",
                "--memory_size=4",
                "--code_size=8",
                "--width=4",
                "--steps_per_epoch=1",
                "--warmup_epochs=0",
                "--num_importance_samples=0",
                "--epochs=9",
            ]
        )
        + "\n"
    )
    folder = tmp_path / "run"
    first = train(folder, str(base), model="gpm", epochs=2, code_size=None)
    assert list(first.epochs["epoch"]) == [1.0, 2.0]
    written = (folder / "metrics.json").stat().st_mtime_ns
    again = train(folder, str(base), model="gpm", epochs=2)
    assert (folder / "metrics.json").stat().st_mtime_ns == written
    assert again.result == first.result
    with pytest.raises(UserError, match=r"other flags \(epochs\)"):
        train(folder, str(base), model="gpm", epochs=3)
    with pytest.raises(UserError, match="failed: .*bernouli"):
        train(tmp_path / "other", str(base), likelihood="bernouli")


@pytest.mark.slow
def test_the_table_has_the_bound_of_every_cell(tmp_path, capfd):
    """One cell computed again from its memories."""
    from kgpm import data
    from kgpm import ops
    from kgpm.evaluation.importance_weights import importance_weighted_bounds

    model = addressed()
    store(tmp_path, model)
    code = call(
        "--table=vma_omniglot",
        f"--model_dir={tmp_path}",
        "--num_targets=6",
        "--num_importance_samples=7",
        "--sizes=1,2",
        "--batch_size=4",
        "--seed=3",
    )
    assert code == 0, capfd.readouterr().err
    with open(tmp_path / "vma_omniglot.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = [(r["classes"], r["exact"], r["memory_size"]) for r in rows]
    # No memory of one image has exactly two classes.
    assert kinds == [
        ("1", "True", "1"),
        ("1", "True", "2"),
        ("2", "True", "2"),
        ("2", "False", "1"),
        ("2", "False", "2"),
    ]
    images = data.load_images(
        "digits", "test", image_size=8, binarize="threshold"
    )
    batches = data.memory_batches(images, 2, 2, 4, targets=6, seed=3)
    bounds = [
        importance_weighted_bounds(
            model,
            batch["images"],
            model.write(batch["memory"]),
            7,
            ops.fold_in(3, index),
        )
        for index, batch in enumerate(batches)
    ]
    for name in ("nelbo_iw", "nelbo_stratified"):
        each = np.concatenate([np.ravel(b[name]) for b in bounds])
        assert len(each) == 6
        assert float(rows[2][name]) == pytest.approx(each.mean(), rel=1e-5)
        error = each.std(ddof=1) / np.sqrt(6)
        got = float(rows[2][f"{name}_standard_error"])
        assert got == pytest.approx(error, rel=1e-4)
    assert (rows[2]["zholus"], rows[2]["bornschein"]) == ("", "83.3")
    assert (rows[4]["zholus"], rows[4]["bornschein"]) == ("82.7", "")
    text = (tmp_path / "vma_omniglot.md").read_text()
    assert "7 samples, memories of seed 3" in text and "| up to 2 | 2 |" in text
    image = matplotlib.image.imread(tmp_path / "vma_omniglot.png")
    assert image[..., :3].std() > 0.0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "Expected --figure (one of"),
        (["--figure=kpp_reads", "--table=vma_omniglot"], "received both"),
        (["--table=vma_omniglo"], "Did you mean 'vma_omniglot'?"),
        (["--figure=kpp_read"], "Did you mean 'kpp_reads'?"),
        (["--figure=kpp_reads"], "does not exist"),
        (["--figure=kpp_sizes"], "name its flags with --base"),
        (
            ["--figure=kpp_sizes", "--base=a.cfg", "--reads=1,x"],
            "--reads must be positive integers",
        ),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, tmp_path, capfd):
    assert call(f"--model_dir={tmp_path / 'none'}", *arguments) == 2
    err = capfd.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_model_without_keys_has_no_such_figure(tmp_path, capfd):
    from kgpm.models import VAE

    store(tmp_path, VAE(image_shape=(8, 8, 1), code_size=4, width=4))
    code = call("--figure=kpp_keys", f"--model_dir={tmp_path}")
    assert code == 2
    assert "read by keys" in capfd.readouterr().err


def test_every_figure_has_a_module():
    for name in (*experiments.FIGURES, *experiments.TABLES):
        assert callable(experiments.drawer(name))
