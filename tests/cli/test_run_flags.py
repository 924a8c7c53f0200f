import re

import pytest

from kgpm import UserError
from kgpm import reproduce
from kgpm.cli import flags
from kgpm.cli.main import parse
from kgpm.cli.run_flags import apply_run_flags
from kgpm.cli.run_flags import differing_flags
from kgpm.cli.run_flags import save_run_flags
from kgpm.train import define_flags


def parsed(directory, *arguments, define=define_flags):
    values = flags.FlagValues()
    define(values)
    parse(values, [f"--model_dir={directory}", *arguments])
    return values


def run_flags(values):
    flags.define(values, "run")


def flag_values(values):
    names = [name for name in values if name not in ("model_dir", "resume")]
    return {name: values[name].value for name in names}


GIVEN = (
    "--memory_size=7",
    "--width=8,16",
    "--shared_noise",
    "--nodeterministic",
    "--data_dir=a b=c",
    "--learning_rate=1e-05",
    "--resume",
)


def test_the_file_holds_every_value_and_is_a_flagfile(tmp_path):
    values = parsed(tmp_path, *GIVEN)
    save_run_flags(values)
    again = parsed(tmp_path, f"--flagfile={tmp_path / 'flags.cfg'}")
    assert flag_values(again) == flag_values(values)
    assert not again.resume
    text = (tmp_path / "flags.cfg").read_text()
    names = set(re.findall(r"^(?:# )?--(\w+)", text, re.MULTILINE))
    for name in values:
        written = name != "resume" and values[name].row.is_of("gpm")
        assert bool({name, f"no{name}"} & names) == written
    # A default of what has no effect is none of the run.
    assert "# --worker_timeout is not set" in text


def test_a_programs_own_flag_is_not_the_runs(tmp_path):
    save_run_flags(parsed(tmp_path, "--epochs=4", "--episode_length=7"))
    values = parsed(tmp_path, define=reproduce.define_flags)
    apply_run_flags(values)
    assert (values.episode_length, values.epochs) == (7, None)


def test_a_run_of_a_model_that_is_no_more_is_one_sentence(tmp_path):
    (tmp_path / "flags.cfg").write_text("--model=gpm\n--read=attractor\n")
    with pytest.raises(UserError, match="--read=attractor: expected one of"):
        apply_run_flags(parsed(tmp_path))


def test_a_run_gives_its_values_and_the_command_line_wins(tmp_path):
    save_run_flags(parsed(tmp_path, *GIVEN))
    values = parsed(tmp_path, "--memory_size=9", "--noshared_noise")
    apply_run_flags(values)
    assert values.memory_size == 9
    assert values.shared_noise is False
    assert values.width == [8, 16]
    assert values.deterministic is False
    assert values.data_dir == "a b=c"
    assert values.learning_rate == 1e-5
    assert values.resume is False


def test_a_run_may_move_and_a_program_may_lack_its_flags(tmp_path):
    (tmp_path / "old").mkdir()
    save_run_flags(parsed(tmp_path / "old", "--seed=3", "--epochs=4"))
    (tmp_path / "old").rename(tmp_path / "new")
    values = parsed(tmp_path / "new", define=run_flags)
    apply_run_flags(values)
    assert values.seed == 3
    assert values.model_dir == str(tmp_path / "new")


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "holds no run"),
        (b"--memory_size=many\n", "does not take"),
        (b"\xff\xfe--seed", "not text"),
    ],
)
def test_what_is_no_run_is_a_user_error(tmp_path, text, message):
    if text is not None:
        (tmp_path / "flags.cfg").write_bytes(text)
    with pytest.raises(UserError, match=message):
        apply_run_flags(parsed(tmp_path))


def test_no_directory_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        apply_run_flags(parsed(tmp_path / "nowhere"))


def test_flags_that_differ_from_those_of_a_run(tmp_path):
    """A run from before a flag was there had its default."""
    save_run_flags(parsed(tmp_path, "--epochs=4", "--shared_noise"))
    values = parsed(tmp_path, "--epochs=5", "--width=8")
    # --width was there, without a value.
    assert sorted(differing_flags(values)) == [
        "epochs",
        "shared_noise",
        "width",
    ]
    path = tmp_path / "flags.cfg"
    lines = path.read_text().splitlines()
    left_out = ("--epochs=", "--shared_noise", "# --width")
    lines = [line for line in lines if not line.startswith(left_out)]
    path.write_text("\n".join(lines) + "\n")
    assert sorted(differing_flags(values)) == ["epochs", "width"]
    assert differing_flags(parsed(tmp_path)) == []
