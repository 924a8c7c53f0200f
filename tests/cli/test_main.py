import os
import subprocess
import sys

import pytest

from kgpm import UserError
from kgpm import train
from kgpm.cli import flags
from kgpm.cli.main import run
from kgpm.cli.main import sentence_for
from kgpm.cli.quiet import held_stderr


@pytest.fixture(autouse=True)
def no_set_up(monkeypatch):
    """Leaves this process's seed, determinism and dtype policy alone."""
    monkeypatch.setattr("kgpm.cli.main.prepare", lambda values: None)


def run_main(main, *arguments):
    return run(
        "kgpm.test",
        main,
        lambda values: flags.define(values, "run"),
        "Doc.",
        ["--model_dir=x", *arguments],
    )


def test_a_program_gets_its_flags(capfd):
    seen = []
    assert run_main(lambda values: seen.append(values.seed), "--seed=5") == 0
    assert seen == [5]
    assert capfd.readouterr().err == ""


def test_help_into_a_closed_pipe_is_no_defect():
    """As `--help | head` leaves it."""
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "kgpm.train", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_used_directory_is_refused_before_tensorflow_loads(tmp_path):
    (tmp_path / "file").write_text("")
    program = """
import sys
from kgpm import train
from kgpm.cli.main import run
code = run("t", train.main, train.define_flags, "", sys.argv[1:],
           check=train.check)
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
sys.exit(code)
"""
    result = subprocess.run(
        [sys.executable, "-c", program, f"--model_dir={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2, result.stderr
    assert "is not empty: add --resume" in result.stderr


@pytest.mark.parametrize(
    "error, sentence",
    [
        (UserError("one\n  sentence"), "one sentence"),
        (
            PermissionError(13, "Permission denied", "/a"),
            "Permission denied: /a",
        ),
        (OSError(28, "No space left on device"), "No space left on device"),
        (
            UserError(
                'in user code:\n\n  File "x.py", line 3, in f\n'
                "    raise UserError\n\n    UserError: expected 3, received 4"
            ),
            "expected 3, received 4",
        ),
    ],
)
def test_mistakes_become_a_sentence(error, sentence, capfd):
    def main(values):
        raise error

    assert run_main(main) == 2
    assert capfd.readouterr().err == f"kgpm.test: {sentence}\n"


def test_files_that_tensorflow_cannot_write_are_a_mistake():
    import tensorflow as tf

    error = tf.errors.ResourceExhaustedError(None, None, "disk is full\nat x")
    assert sentence_for(error) == "disk is full"


def test_a_defect_keeps_its_traceback():
    def main(values):
        raise KeyError("defect")

    with pytest.raises(KeyError):
        run_main(main)


def test_control_c_ends_with_130(capfd):
    def main(values):
        raise KeyboardInterrupt

    assert run_main(main) == 130
    assert capfd.readouterr().err == "kgpm.test: interrupted\n"


def test_help_goes_to_stdout(capfd):
    def main(values):
        raise AssertionError

    assert run_main(main, "--help") == 0
    out, err = capfd.readouterr()
    assert "Usage: python -m kgpm.test" in out
    assert "--seed" in out
    assert err == ""


def test_stderr_is_held_back_and_comes_out_when_something_fails(capfd):
    with held_stderr():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError):
        with held_stderr():
            os.write(2, b"the reason")
            raise ImportError
    os.write(2, b", then more")
    assert capfd.readouterr().err == "the reason, then more"


FLAGS = {
    "a typo": (["--lerning_rate=1"], "Did you mean: learning_rate?"),
    "no such flag": (["--qqqq=1"], "unknown command line flag 'qqqq'"),
    "no episode": (["--episode_length=0"], "not a positive integer"),
    "no number": (["--batch_size=x"], "--batch_size=x"),
    "not finite": (
        ["--learning_rate=nan"],
        "--learning_rate=nan: expected a finite number",
    ),
    "no choice": (
        ["--optimizer=adamww"],
        "expected one of adam, adamw, lamb, lars_adam, lion, muon. Did you "
        "mean 'adamw'?",
    ),
    "no model": (["--model=gmp"], "Did you mean 'gpm'?"),
    "no width": (["--width=8,0"], "--width=8,0"),
    "not a flag": (["--download", "false"], "received 'false'"),
    "no value": (["--seed"], "missing value for flag --seed"),
    "no flagfile": (["--flagfile=/no/such"], "unable to open flagfile"),
    "a binary flagfile": (["--flagfile=BINARY"], "is not text"),
    "a typo in a file": (
        ["--flagfile=TYPO"],
        "Did you mean: read, read_ridge, seed?",
    ),
    "no model_dir": (["--model_dir="], "--model_dir is required"),
}


@pytest.mark.parametrize("case", FLAGS)
def test_bad_flags_are_one_sentence_and_exit_code_2(case, tmp_path, capfd):
    arguments, message = FLAGS[case]
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\xd8")
    (tmp_path / "typo.cfg").write_text("# header\n--sead=1\n")
    arguments = [
        argument.replace("BINARY", str(tmp_path / "binary")).replace(
            "TYPO", str(tmp_path / "typo.cfg")
        )
        for argument in arguments
    ]
    code = run(
        "kgpm.train",
        train.main,
        train.define_flags,
        "Doc.",
        [f"--model_dir={tmp_path / 'run'}", *arguments],
    )
    out, err = capfd.readouterr()
    assert code == 2
    assert err.startswith("kgpm.train: ") and err.count("\n") == 1
    assert message in err
    assert out == ""
    assert not (tmp_path / "run").exists()
