"""From flags to a model of parts."""

import inspect

import keras
import pytest

from kgpm import UserError
from kgpm import layers
from kgpm.cli import flags
from kgpm.cli import parts
from kgpm.cli.flag_table import TABLE
from kgpm.cli.main import training_flags
from kgpm.cli.parts import make_model
from kgpm.files import write_json
from kgpm.models import MODELS
from kgpm.training.run_directory import RunDirectory
from kgpm.training.stored_model import check_same_model
from kgpm.training.stored_model import describe_model

SMALL = ("--memory_size=2", "--code_size=6", "--width=4")
# What the images, the likelihood and other parts decide.
DECIDED = {
    *("self", "kwargs", "name", "image_shape", "num_parameters"),
    *("grid_shape", "encoder", "decoder", "memory", "stem", "shift_fraction"),
}


def model_of(*arguments, image_shape=(20, 20, 1), variance=None):
    values = training_flags("--model_dir=unused", *arguments)
    flags.check_effects(values)
    return make_model(values, image_shape, variance)


def parameters_of(name):
    """Of a model and its parts, by default and of all that flags can choose."""
    rows = {row.name: row for row in TABLE["model"]}
    usual = [MODELS[name], parts._MEMORIES[name]]
    others = [layers.BlockMemory] if name == "kpp_dense" else []
    for flag, classes in (
        ("encoder", parts._ENCODERS),
        ("decoder", parts._DECODERS),
    ):
        usual.append(classes[rows[flag].defaults.get(name, name)])
        if name in rows[flag].defaults:
            others += [classes[each] for each in rows[flag].kind]
    default, known = {}, {}
    for found, kinds in ((default, usual), (known, usual + others)):
        for kind in kinds:
            found.update(inspect.signature(kind.__init__).parameters)
    return default, known


@pytest.mark.parametrize("name", MODELS)
def test_the_table_has_every_argument_with_its_default(name):
    default, known = parameters_of(name)
    given = {row.name: row for row in TABLE["model"] if name in row.defaults}
    # Of `LatentModel`, and of a likelihood; and of the memory that is matched.
    ours = {"data_variance", "memory_kl_weight"}
    if name == "kpp_dense":
        ours |= {"key_transform"}
    assert set(given) - ours - DECIDED == set(known) - ours - DECIDED
    for argument in set(given) & set(default):
        # Without one, or worked out: `test_a_model_without_flags` sees it.
        value, ours = default[argument].default, given[argument].defaults[name]
        if None not in (value, ours) and value is not inspect.Parameter.empty:
            assert ours == value, argument


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_without_flags_is_that_of_its_constructor(name):
    ours, theirs = model_of(f"--model={name}"), MODELS[name]((20, 20, 1))
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        assert (weight.path, weight.shape) == (other.path, other.shape)
    for attribute in ("auxiliary_weights", "kl_weights", "num_inner_reads"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    for part in ("encoder", "memory", "decoder"):
        config = getattr(ours, part).get_config()
        for argument, value in getattr(theirs, part).get_config().items():
            assert value is None or config[argument] == value
    assert ours.likelihood.name == theirs.likelihood.name


def test_flags_reach_the_parts():
    model = model_of(
        *SMALL, "--solver=newton", "--solver_iterations=7", "--width=4,6"
    )
    assert model.memory.arguments()["solver_iterations"] == 7
    assert model.memory.arguments()["read_ridge"] is None
    assert model.encoder.arguments()["width"] == [4, 6]
    model = model_of(
        "--model=kpp",
        "--decoder=residual",
        "--encoder=tsm_resnet_small",
        "--code_size=4",
        "--latent_size=3",
        "--width=4",
        "--memory_size=8",
        "--window_size=8",
        "--hidden_size=8",
    )
    assert isinstance(model.decoder, layers.ImageDecoder)
    assert model.encoder.arguments()["stem"] == "small"
    assert model.decoder.arguments()["code_size"] == 3
    assert model.memory.arguments()["width"] == 4
    model = model_of("--model=vma", "--width=4,6", "--feature_size=7")
    assert model.encoder is model.memory.encoder
    assert model.encoder.arguments()["feature_size"] == 7


def test_the_dense_memory_matches_unless_it_has_a_size():
    sizes = ("--model=kpp_dense", "--code_size=8", "--hidden_size=8")
    sizes += ("--width=4", "--encoder=residual", "--normalization=none")
    small = model_of(*sizes, "--memory_size=8", "--window_size=8")
    large = model_of(*sizes, "--memory_size=64")
    assert small.count_params() < large.count_params()
    given = model_of(*sizes, "--projection_size=5")
    assert given.memory.arguments()["projection_size"] == 5
    with pytest.raises(UserError, match="with no --projection_size only"):
        model_of(*sizes, "--projection_size=5", "--memory_size=8")


def test_the_variance_is_given_or_measured():
    gaussian = ("--likelihood=fixed_gaussian", *SMALL)
    measured = model_of(*gaussian, variance=lambda: 0.5)
    assert measured.likelihood.variance == 0.5
    given = model_of(*gaussian, "--data_variance=0.25", variance=lambda: 0.5)
    assert given.likelihood.variance == 0.25
    # Not measured where it does not matter.
    model_of(*SMALL, variance=lambda: 1 / 0)


DIFFERENCES = [
    ([], ["--solver=newton"], "--solver was ridge and is now newton"),
    # Also those of encoder and decoder.
    ([], ["--code_size=5"], "--code_size was 6 and is now 5"),
    (
        ["--encoder=tsm_resnet_small"],
        ["--encoder=tsm_resnet"],
        "--encoder was small and is now standard",
    ),
    (
        [],
        ["--encoder=tsm_resnet_small"],
        "--encoder was ImageEncoder and is now TemporalShiftResNet",
    ),
    (
        ["--likelihood=fixed_gaussian", "--data_variance=0.25"],
        ["--likelihood=fixed_gaussian", "--data_variance=0.5"],
        "--data_variance was 0.25 and is now 0.5",
    ),
    (
        [],
        ["--likelihood=gaussian"],
        "--likelihood was Bernoulli and is now Gaussian",
    ),
    (
        [],
        ["--autoencoder_weight=0", "--memory_size=3"],
        "--memory_size was 2 and is now 3, --autoencoder_weight was 1.0 and "
        "is now 0.0",
    ),
]


@pytest.mark.parametrize(("old", "new", "sentence"), DIFFERENCES)
def test_what_differs_from_a_stored_model_is_said_by_its_flag(
    old, new, sentence, tmp_path
):
    run = RunDirectory(tmp_path)
    run.create()
    stored = describe_model(model_of(*SMALL, *old))
    write_json(run.backup / "model.json", stored)
    check_same_model(run, model_of(*SMALL, *old))
    with pytest.raises(UserError) as error:
        check_same_model(run, model_of(*SMALL, *new))
    assert f"another model: {sentence}; leave" in str(error.value)


def test_another_policy_is_said(tmp_path):
    run = RunDirectory(tmp_path)
    run.create()
    stored = describe_model(model_of(*SMALL))
    write_json(run.backup / "model.json", stored)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = model_of(*SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(UserError) as error:
        check_same_model(run, model)
    sentence = "another model: --dtype_policy was float32 and is now mixed_b"
    assert sentence in str(error.value)
