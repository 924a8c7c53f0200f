import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kgpm import UserError
from kgpm.cli import flags
from kgpm.cli.flag_table import TABLE
from kgpm.cli.help import help_text
from kgpm.cli.main import parse
from kgpm.cli.main import run
from kgpm.cli.model_flags import MODELS
from kgpm.data import BINARIZATIONS
from kgpm.data import SOURCES
from kgpm.train import define_flags

PROGRAMS = sorted(
    path.stem
    for path in (Path(__file__).parents[2] / "kgpm").glob("*.py")
    if "define_flags" in path.read_text(encoding="utf-8")
)


def defined(program="train"):
    values = flags.FlagValues()
    importlib.import_module(f"kgpm.{program}").define_flags(values)
    return values


def parsed(*arguments):
    values = defined()
    parse(values, ["--model_dir=runs/x", *arguments])
    return values


def help_of(program, *arguments):
    values = defined(program)
    values(["", *arguments])
    return help_text(f"kgpm.{program}", values, "Doc.")


def all_rows():
    return [
        flag.row
        for program in PROGRAMS
        for group in flags.GROUPS
        for flag in flags.flags_in_group(defined(program), group)
    ]


def test_rows_are_sound():
    """A row says what holds without a value, and names flags and choices."""
    known = {row.name: row for row in all_rows()}
    for row in all_rows():
        assert row.meaning.endswith(".")
        defaults = [row.default, *row.defaults.values()][bool(row.defaults) :]
        if None in defaults:
            chosen = ("figure", "table", "base")
            assert row.unset or row.required or row.name in chosen, row.name
        assert set(row.defaults) <= set(MODELS)
        for name, wanted in row.goes_with.items():
            if wanted not in ((), (None,)):
                assert set(wanted) <= set(known[name].kind), row.name
        for default in defaults:
            if isinstance(row.kind, tuple) and default is not None:
                assert default in row.kind


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_fits_a_terminal_and_has_every_flag(program):
    text = help_of(program)
    lines = text.splitlines()
    assert len(lines) < 130
    assert max(map(len, lines)) <= 80
    for group in flags.GROUPS:
        for flag in flags.flags_in_group(defined(program), group):
            name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
            shown = any(line.split()[:1] == [name] for line in lines)
            assert shown == (group != "model" or flag.name == "model")
    if program == "train":
        assert set(MODELS) <= set(text.split())
        assert "--help --model=vma shows the flags of that model" in text


@pytest.mark.parametrize("model", MODELS)
def test_help_of_a_model_has_its_flags_and_defaults(model):
    text = help_of("train", f"--model={model}")
    lines = text.splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) <= 80
    said = " ".join(text.split())
    for row in TABLE["model"]:
        if row.name == "model":
            continue
        assert (f"--{row.name} " in said or f"--[no]{row.name} " in said) == (
            model in row.defaults
        )
    assert "--dataset" not in text


def test_help_of_a_model_has_numbers_of_its_own():
    assert "default 48,64)" in help_of("train", "--model=vma")
    assert "default 512)" in help_of("train", "--model=memory_vae")
    kanerva, slots = (
        " ".join(help_of("train", f"--model={model}").split())
        for model in ("km", "slot_vae")
    )
    text = "networks of keys and latents. ("
    assert f"{text}default 128)" in kanerva
    assert f"{text}with --read=categorical; default 128)" in slots


def test_help_names_every_data_set():
    words = re.split(r"[\s,()]+", help_of("train"))
    assert set(SOURCES) <= set(words)


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["--help"], 0, "Usage: python -m kgpm.train", ""),
        (["--help", "--model=vma"], 0, "--num_dummies", ""),
        (["--model", "km", "-h"], 0, "--key_size", ""),
        (["--help", "--model=vmaa"], 2, "", "Did you mean 'vma'?"),
    ],
)
def test_help_needs_neither_tensorflow_nor_numpy(arguments, code, out, err):
    program = """
import sys
from kgpm import train
from kgpm.cli.main import run
code = run("kgpm.train", train.main, train.define_flags, "Doc.")
heavy = {"tensorflow", "keras", "numpy"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert out in done.stdout and err in done.stderr
    assert bool(done.stdout) == (code == 0)


REFUSED = {
    "another model's": (
        ["--key_size=50"],
        "Expected --key_size with --model=km only",
        "received --model=gpm: leave --key_size out",
    ),
    "another read's": (
        ["--model=slot_vae", "--hidden_size=5", "--read=softmax"],
        "Expected --hidden_size with --read=categorical only",
        "received --read=softmax",
    ),
    "a default's": (
        ["--solver_iterations=5"],
        "with --solver=newton or hyperpower only",
        "received --solver=ridge",
    ),
    "one of two's": (
        [
            "--encoder=tsm_resnet",
            "--decoder=transposed",
            "--normalization=none",
        ],
        "with --encoder=residual or --decoder=residual only",
        "received --encoder=tsm_resnet, --decoder=transposed",
    ),
    "no number's": (
        ["--kl_warmup_terms=kl_y"],
        "with --kl_warmup_epochs only",
        "received --kl_warmup_epochs=0",
    ),
    "given as the default": (
        ["--worker_timeout=600"],
        "with --distribute=multi_worker only",
        "received --distribute=auto",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_flag_without_effect_is_refused(case, tmp_path, capfd):
    arguments, *messages = REFUSED[case]
    code = run(
        "kgpm.train",
        None,
        define_flags,
        "Doc.",
        [f"--model_dir={tmp_path}", *arguments],
    )
    err = capfd.readouterr().err
    assert code == 2
    assert err.startswith("kgpm.train: Expected --") and err.count("\n") == 1
    assert all(message in err for message in messages), err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model=km", "--hidden_size=5"],
        ["--model=slot_vae", "--hidden_size=5"],
        ["--solver=newton", "--solver_iterations=5"],
        ["--encoder=tsm_resnet", "--normalization=none"],
        ["--model=kpp", "--decoder=residual", "--normalization=none"],
        ["--kl_warmup_epochs=2", "--kl_warmup_terms=kl_y"],
        ["--distribute=multi_worker", "--worker_timeout=5"],
        ["--model=vq_vae", "--data_variance=0.1"],
        ["--likelihood=fixed_gaussian", "--data_variance=0.1"],
    ],
)
def test_a_flag_with_effect_passes(arguments):
    flags.check_effects(parsed(*arguments))


def test_a_flag_without_a_value_has_the_models():
    values = parsed("--model=vma", "--width=8,16")
    found = flags.effective_values(values, "model")
    assert (found["width"], found["latent_size"]) == ([8, 16], 64)
    assert (found["model"], found["num_bound_samples"]) == ("vma", 4)
    assert not {"memory_size", "data_variance"} & set(found)
    assert values.latent_size is None
    other = parsed("--model=vma", "--address_gradient=enumerate")
    assert "num_bound_samples" not in flags.effective_values(other, "model")


def test_choices_are_those_of_the_library():
    assert TABLE["model"][0].kind == tuple(MODELS)
    for program, name, known in (("train", "binarize", BINARIZATIONS),):
        assert defined(program)[name].row.kind == tuple(known)


@pytest.mark.parametrize("text", ["16", "8,16,32"])
def test_width_survives_a_flagfile(text):
    flag = parsed(f"--width={text}")["width"]
    assert flag.serialize() == f"--width={text}"


def test_a_row_is_found_by_its_name():
    assert flags.row("seed").least == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        flags.row("seed").default = 1


def test_what_is_out_of_bounds_is_refused():
    for argument in ("--seed=-1", "--ema_momentum=1", "--learning_rate=inf"):
        with pytest.raises(UserError, match=argument):
            parsed(argument)
