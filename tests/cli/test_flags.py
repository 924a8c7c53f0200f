import importlib
import subprocess
import sys

import pytest

from kgpm import UserError
from kgpm.cli import flags
from kgpm.cli.main import help_text
from kgpm.cli.main import parse
from kgpm.data import BINARIZATIONS
from kgpm.data import SOURCES
from kgpm.train import define_flags


def parsed(*arguments):
    values = flags.FlagValues()
    define_flags(values)
    parse(values, ["--model_dir=runs/x", *arguments])
    return values


def constructor_arguments(model):
    arguments = model.constructor_arguments()
    # What the data decide.
    del arguments["image_shape"]
    return arguments


def test_every_argument_of_every_model_has_a_flag_with_its_default():
    from kgpm.models import MODELS

    values = parsed()
    for name in MODELS:
        assert f"{name} (" in values["model"].help
    for model in MODELS.values():
        arguments = constructor_arguments(model)
        assert arguments == flags.model_arguments(values, model)


def test_a_flag_without_default_says_each_models_own():
    """The text is by hand, so that --help needs no TensorFlow."""
    from kgpm.models import MODELS

    values = parsed()
    own = {"learn_observation_noise": {False: "does not", True: "does"}}
    for flag in flags.flags_in_group(values, "model"):
        defaults = {
            name: constructor_arguments(model)[flag.name]
            for name, model in MODELS.items()
            if flag.name in constructor_arguments(model)
        }
        if len(set(map(str, defaults.values()))) < 2:
            continue
        assert flag.default is None
        text = flag.help.partition("without it ")[2]
        for name, default in defaults.items():
            numbers = default if isinstance(default, tuple) else (default,)
            shown = ",".join(
                n if isinstance(n, str) else f"{n:g}" for n in numbers
            )
            said = own.get(flag.name, {}).get(default, shown)
            assert name in text and said in text


def test_every_model_flag_is_an_argument_of_some_model():
    from kgpm.models import MODELS

    known = {"model"}.union(*map(constructor_arguments, MODELS.values()))
    names = {flag.name for flag in flags.flags_in_group(parsed(), "model")}
    assert names <= known


class Named:
    @staticmethod
    def constructor_arguments():
        return {"memory_size": 5, "width": 3}


def test_a_model_gets_the_flags_that_it_names():
    values = parsed("--width=8,16")
    expected = {"memory_size": 5, "width": [8, 16]}
    assert flags.model_arguments(values, Named) == expected


def test_a_flag_that_the_model_does_not_take_is_refused():
    # Given, but to no effect: so does a flags.cfg, which holds all flags.
    flags.model_arguments(parsed("--key_size=50"), Named)
    with pytest.raises(UserError) as error:
        flags.model_arguments(parsed("--key_size=51"), Named)
    assert "does not take --key_size" in str(error.value)
    assert "--memory_size, --width" in str(error.value)


@pytest.mark.parametrize(
    "program", ["train", "evaluate", "generate", "denoise", "reproduce"]
)
def test_help_names_every_data_set_flag_and_default(program):
    values = flags.FlagValues()
    importlib.import_module(f"kgpm.{program}").define_flags(values)
    text = " ".join(help_text(f"kgpm.{program}", values, "Doc.").split())
    for source in SOURCES:
        assert source in text
    for group in flags.GROUPS:
        for flag in flags.flags_in_group(values, group):
            assert f"{flag.name}:" in text
            assert flag.help.endswith(".")
            # absl shows each default but None, which the text must explain.
            if flag.default is None:
                required = flag.name in ("model_dir", "figure", "table")
                assert "without it" in flag.help.lower() or required


def test_binarizations_are_those_of_the_data():
    values = flags.FlagValues()
    define_flags(values)
    assert tuple(values["binarize"].parser.enum_values) == tuple(BINARIZATIONS)


@pytest.mark.parametrize("text", ["16", "8,16,32"])
def test_width_survives_a_flagfile(text):
    flag = parsed(f"--width={text}")["width"]
    assert flag.serialize() == f"--width={text}"


def test_help_needs_neither_tensorflow_nor_numpy():
    program = """
import sys
from kgpm import train
from kgpm.cli.main import run
code = run("kgpm.train", train.main, train.define_flags, "Doc.", ["--help"])
assert code == 0
heavy = {"tensorflow", "keras", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
