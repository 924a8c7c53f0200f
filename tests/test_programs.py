"""The programs on a finished run, in this process, on a tiny model."""

import json
import random

import matplotlib.image
import numpy as np
import pytest

from kgpm import denoise
from kgpm import evaluate
from kgpm import generate
from kgpm.cli import flags
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import load_model
from kgpm.training.stored_model import save_model

PROGRAMS = {"evaluate": evaluate, "generate": generate, "denoise": denoise}


def call(program, *arguments):
    module = PROGRAMS[program]
    return run(
        f"kgpm.{program}",
        module.main,
        module.define_flags,
        module.__doc__,
        # Determinism is for the process, and these tests share one.
        [*arguments, "--nodeterministic"],
        check=apply_run_flags,
    )


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run of an untrained model on 8 x 8 digits."""

    from kgpm.cli.run_flags import save_run_flags
    from kgpm.models import GPM

    path = tmp_path_factory.mktemp("run")
    values = flags.define(flags.FlagValues(), "run", "data")
    values(
        [
            "",
            f"--model_dir={path}",
            "--image_size=8",
            "--binarize=threshold",
            "--episode_length=30",
            "--batch_size=6",
        ]
    )
    RunDirectory(path).create()
    save_run_flags(values)
    random.seed(0)
    model = GPM(image_shape=(8, 8, 1), memory_size=8, code_size=12, width=4)
    checkpoint = RunDirectory(path).checkpoint("best")
    save_model(model, checkpoint)
    return path


def conditional_bound(path, seed):
    """Figure A, image by image, without the evaluation's code."""
    from kgpm import data
    from kgpm import ops

    model = load_model(path)
    total = count = 0.0
    batches = data.episodes(
        "digits",
        "test",
        30,
        6,
        image_size=8,
        binarize="threshold",
        shuffle=False,
    )
    for index, batch in enumerate(batches):
        draw = ops.fold_in(ops.fold_in(ops.make_seed(seed), index), 0)
        terms = model.bound_terms(batch["images"], batch["weights"], draw)
        nelbo = np.asarray(terms["nll"] + terms["kl_w"], "float64")
        total += (nelbo * np.asarray(batch["weights"])).sum()
        count += np.asarray(batch["weights"]).sum()
    return total / count


@pytest.mark.slow
def test_evaluate_writes_what_it_prints(finished_run, capsys):
    arguments = [f"--model_dir={finished_run}", "--num_importance_samples=2"]
    assert call("evaluate", *arguments, "--seed=3") == 0
    output = capsys.readouterr().out
    result = json.loads((finished_run / "metrics.json").read_text())
    assert result["num_images"] == 359
    assert result["num_episodes"] == 12
    assert result["episode_length"] == 30
    assert result["memory_floats_per_image"] == 8 * 12 / 30
    # The order of an episode does not matter to this model.
    assert result["figures"].pop("A_order") is None
    for figure in result["figures"].values():
        total = figure["nll"]["mean"] + figure["kl_w"]["mean"]
        assert figure["nelbo"]["mean"] == pytest.approx(total)
        assert f"{figure['nelbo']['mean']:.2f} ±" in output
    assert "A   conditional" in output and "digits" in output
    expected = conditional_bound(finished_run, seed=3)
    conditional = result["figures"]["A"]["nelbo"]["mean"]
    assert conditional == pytest.approx(expected, rel=1e-4)


def test_other_splits_have_a_file_of_their_own(finished_run, monkeypatch):
    # What is computed is tested elsewhere; here only the way there and back.
    def fake(model, dataset, *, split, description, **options):
        assert "validation" in description
        assert options == {
            "seed": 0,
            "num_draws": 2,
            "num_importance_samples": 5,
        }
        return {"split": split, "seconds": 1.0}

    monkeypatch.setattr("kgpm.evaluation.evaluation.evaluate", fake)
    monkeypatch.setattr("kgpm.evaluation.report.format_table", str)
    arguments = ["--split=validation", "--num_draws=2"]
    arguments += ["--num_importance_samples=5", f"--model_dir={finished_run}"]
    assert call("evaluate", *arguments) == 0
    path = finished_run / "metrics_validation.json"
    assert json.loads(path.read_text())["split"] == "validation"


@pytest.mark.slow
def test_generate_draws_every_step(finished_run, tmp_path, capsys):
    path = tmp_path / "new" / "samples.png"
    arguments = [
        f"--model_dir={finished_run}",
        "--num_samples=3",
        "--num_steps=2",
    ]
    assert call("generate", *arguments, f"--output={path}") == 0
    assert f"wrote {path}" in capsys.readouterr().out
    picture = matplotlib.image.imread(path)
    cell = 8 * 9
    # 3 rows of 2 steps and the nearest image, with gaps and labels.
    assert picture.shape[0] > 3 * cell and picture.shape[1] > 3 * cell
    assert picture.shape[0] < 5 * cell
    again = tmp_path / "again.png"
    assert call("generate", *arguments, f"--output={again}") == 0
    assert again.read_bytes() == path.read_bytes()
    other = tmp_path / "other.png"
    assert call("generate", *arguments, f"--output={other}", "--seed=1") == 0
    assert other.read_bytes() != path.read_bytes()
    repeated = [*arguments, f"--output={other}", "--repeat_written=3"]
    assert call("generate", *repeated) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "level"),
    [("salt_and_pepper", 0.15), ("block", 3.0)],
)
def test_denoise_prints_and_writes_its_numbers(
    finished_run, capsys, noise, level
):
    arguments = [f"--model_dir={finished_run}", f"--noise={noise}"]
    arguments += ["--num_steps=2", "--num_images=90", "--num_examples=3"]
    assert call("denoise", *arguments) == 0
    output = capsys.readouterr().out
    summary = json.loads((finished_run / f"denoise_{noise}.json").read_text())
    assert summary["level"] == level
    assert summary["num_images"] == 90
    assert len(summary["reads"]) == 2 and len(summary["energy"]) == 3
    for name, entry in [
        ("query", summary["query"]),
        ("encode and decode", summary["autoencoder"]),
        ("read 2", summary["reads"][1]),
    ]:
        line = next(x for x in output.splitlines() if x.startswith(name))
        assert f"{entry['mean']:.2f} ±" in line
    assert "The energy rises" in output
    for suffix in (".png", "_curves.png"):
        path = finished_run / f"denoise_{noise}{suffix}"
        assert matplotlib.image.imread(path).size
    if noise == "salt_and_pepper":
        # About half of 15% of 64 pixels change.
        assert summary["query"]["mean"] == pytest.approx(4.8, abs=1.2)


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("denoise", ["--noise=salt_and_peper"], "Did you mean"),
        ("denoise", ["--level=1.5"], "fraction"),
        ("denoise", ["--noise=block", "--level=99"], "size"),
        ("denoise", ["--noise=block", "--block_value=0.5"], "0 or 1"),
        ("denoise", ["--block_value=1"], "noise=block only"),
        ("denoise", ["--num_steps=0"], "num_steps"),
        ("denoise", ["--threshold=2"], "threshold"),
        ("generate", ["--num_samples=0"], "num_samples"),
        ("evaluate", ["--checkpoint=last"], "no checkpoint 'last'"),
        ("evaluate", ["--image_size=20"], "20 x 20 x 1"),
        ("evaluate", ["--binarize=none"], "--binarize=threshold"),
        ("evaluate", ["--num_draw=1"], "Did you mean"),
        ("evaluate", ["--split=tset"], "split"),
    ],
)
def test_a_mistake_is_one_sentence(
    finished_run, capsys, program, arguments, message
):
    assert call(program, f"--model_dir={finished_run}", *arguments) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_no_run_is_one_sentence(tmp_path, capsys, program):
    assert call(program, f"--model_dir={tmp_path}") == 2
    error = capsys.readouterr().err
    assert "holds no run" in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_help_names_the_program_s_own_flags(program, capsys):
    assert call(program, "--help") == 0
    output = capsys.readouterr().out
    assert f"python -m kgpm.{program}" in output
    assert "--split" in output and "--dataset" in output
