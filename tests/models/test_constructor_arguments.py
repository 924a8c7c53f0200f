"""Constructors: what they keep, and what they refuse to take in vain."""

import inspect
import json

import keras
import pytest

from kgpm import UserError
from kgpm import layers
from kgpm import likelihoods
from kgpm import models
from kgpm.configuration import Configured

from .conftest import SHAPE
from .conftest import SMALL
from .conftest import addressed
from .conftest import rows
from .conftest import untouched

PARTS = ("encoder", "memory", "decoder")

# A value other than its default for every argument that is no part.
OTHER = {
    "image_shape": (20, 24, 2),
    "memory_size": 12,
    "code_size": 20,
    "latent_size": 5,
    "embedding_dim": 5,
    "num_embeddings": 7,
    "likelihood": "gaussian",
    "width": 8,
    "read": "softmax",
    "autoencoder_weight": 0.7,
    "memory_kl_weight": 0.4,
    "held_out_weight": 0.3,
    "num_inner_reads": 1,
    "address_gradient": "enumerate",
    "num_bound_samples": 3,
    "vimco_baseline": "arithmetic",
}
# Where the windows of the default memory fit in.
OTHER_OF = {"kpp": {"memory_size": 40}}
# Of `VMA`: the second are for another gradient.
EXCLUSIVE = ({"address_gradient"}, {"num_bound_samples", "vimco_baseline"})


def parameters(constructor):
    """Those that it names and their defaults."""
    found = inspect.signature(constructor).parameters.values()
    return {p.name: p.default for p in found if p.kind.name[:3] != "VAR"}


def configured(thing):
    """An object of this package and all in it that are configured."""
    if isinstance(thing, Configured):
        yield thing
    layer = isinstance(thing, keras.layers.Layer)
    for part in thing._flatten_layers(include_self=False) if layer else ():
        if isinstance(part, Configured):
            yield part


def test_every_model_is_in_the_table():
    for name, constructor in models.MODELS.items():
        assert type(untouched(name)) is constructor


@pytest.mark.parametrize("name", rows(names=models.MODELS))
def test_config_has_every_argument(name):
    constructor = models.MODELS[name]
    defaults = parameters(constructor)
    other = {**OTHER, **OTHER_OF.get(name, {})}
    assert defaults.keys() <= {*other, *PARTS}
    for left_out in EXCLUSIVE:
        arguments = {
            argument: other[argument]
            for argument in defaults
            if argument not in left_out.union(PARTS)
        }
        model = constructor(**arguments, name="other")
        config = model.get_config()
        assert defaults.keys() <= config.keys()
        assert config["name"] == "other"
        for argument, value in arguments.items():
            assert value != defaults[argument]
            # As JSON has it.
            value = list(value) if isinstance(value, tuple) else value
            assert config[argument] == value
        copy = constructor.from_config(json.loads(json.dumps(config)))
        assert copy.get_config() == config
        assert copy.likelihood.name == "gaussian"
        assert copy.image_shape == (20, 24, 2)
        if not defaults.keys() & EXCLUSIVE[1]:
            break


@pytest.mark.parametrize("name", rows())
def test_config_has_every_argument_of_nested_parts(name):
    model = untouched(name)
    config = json.loads(json.dumps(model.get_config()))
    copy = type(model).from_config(config)
    assert copy.get_config() == model.get_config()
    pairs = [
        pair
        for part in (*PARTS, "likelihood")
        for pair in zip(
            configured(getattr(model, part)),
            configured(getattr(copy, part)),
            strict=True,
        )
    ]
    assert len(pairs) >= 4
    for part, twin in pairs:
        assert type(part) is type(twin)
        assert parameters(type(part)).keys() <= part.get_config().keys()
        assert twin.get_config() == part.get_config()
    shapes = [[tuple(v.shape) for v in each.weights] for each in (model, copy)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", sorted(models.__all__))
def test_no_constructor_has_many_arguments(name):
    value = getattr(models, name)
    if isinstance(value, dict):
        value = models.LatentModel
    assert len(parameters(value)) <= 14


@keras.saving.register_keras_serializable(package="tests")
class Deeper(models.MemoryVAE):
    """A model of a user's with an argument more and another default."""

    def __init__(self, depth, image_shape=SHAPE, **kwargs):
        super().__init__(image_shape, width=[4, 6], **kwargs)
        self.depth = depth


def test_a_subclass_that_adds_an_argument_keeps_it():
    model = Deeper(3, memory_size=8, autoencoder_weight=0.5)
    config = model.get_config()
    assert (config["depth"], config["image_shape"]) == (3, list(SHAPE))
    assert (config["memory_size"], config["autoencoder_weight"]) == (8, 0.5)
    # What it fills in is not asked for again.
    assert "width" not in config
    stored = keras.saving.serialize_keras_object(model)
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(stored)))
    assert type(copy) is Deeper
    assert (copy.depth, copy.memory.memory_size) == (3, 8)
    assert copy.get_config() == config


def test_a_part_of_a_likelihood_is_nested_too():
    model = models.VAE(SHAPE, likelihood=likelihoods.FixedGaussian(0.2))
    copy = models.VAE.from_config(json.loads(json.dumps(model.get_config())))
    assert isinstance(copy.likelihood, likelihoods.FixedGaussian)
    assert copy.likelihood.variance == 0.2


def test_default_parts_keep_their_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        config = models.VAE(**SMALL).get_config()
    finally:
        keras.config.set_dtype_policy(before)
    copy = models.VAE.from_config(config)
    assert copy.encoder.compute_dtype == "bfloat16"
    assert copy.memory.compute_dtype == "float32"
    assert copy.get_config() == config
    assert keras.config.dtype_policy() == before


SIZES = {
    "memory_size",
    "num_embeddings",
    "read",
    "code_size",
    "embedding_dim",
    "latent_size",
    "width",
}


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name, constructor in sorted(models.MODELS.items())
        for argument in sorted(SIZES & parameters(constructor).keys())
    ],
)
def test_a_size_beside_the_parts_that_it_is_for(name, argument):
    """All of them: beside one it is for the others."""
    model = untouched(name)
    parts = {part: getattr(model, part) for part in PARTS}
    if name == "vma":
        # Its memory has the encoder.
        del parts["encoder"]
    value = OTHER[argument]
    message = f"Expected {argument} with a default .*received {argument}="
    with pytest.raises(UserError, match=f"{message}.*leave {argument} out"):
        models.MODELS[name](SHAPE, **parts, **{argument: value})


def mixing():
    return layers.TemporalShiftResNet(SHAPE, 10, 4, num_blocks=1, stem="small")


def networks():
    return {
        "encoder": layers.ImageEncoder(SHAPE, 10, 8),
        "decoder": layers.ImageDecoder(SHAPE, 10, 1, 8),
    }


WITHOUT_EFFECT = {
    "memory_size": lambda: models.GPM(
        SHAPE, 4, memory=layers.PseudoInverseMemory(4, 100)
    ),
    "width": lambda: models.GPM(SHAPE, 4, 10, width=8, **networks()),
    "read": lambda: models.SlotMemoryVAE(
        SHAPE, read="softmax", memory=layers.SlotMemory(4, 100)
    ),
    "memory_kl_weight": lambda: models.GPM(
        memory_size=4, memory_kl_weight=0.5, **SMALL
    ),
    "held_out_weight": lambda: models.GPM(
        memory_size=4, held_out_weight=0.5, **SMALL
    ),
    "held_out_weight of VMA": lambda: addressed(held_out_weight=0.5),
    "num_inner_reads": lambda: models.DynamicKanervaMachine(
        num_inner_reads=1, **SMALL
    ),
    "num_inner_reads of an encoder that mixes": lambda: models.GPM(
        SHAPE, 4, 10, encoder=mixing(), num_inner_reads=1
    ),
    "num_inner_reads without a memory": lambda: models.VAE(
        num_inner_reads=1, **SMALL
    ),
    "num_bound_samples": lambda: models.VMA(
        address_gradient="enumerate", num_bound_samples=4
    ),
    "vimco_baseline": lambda: models.VMA(
        address_gradient="enumerate", vimco_baseline="geometric"
    ),
    "encoder beside the memory of VMA": lambda: addressed(
        encoder=layers.AddressEncoder(SHAPE)
    ),
}


@pytest.mark.parametrize("case", WITHOUT_EFFECT)
def test_an_option_without_effect_is_refused(case):
    argument = case.split()[0]
    message = f"Expected {argument} with .* only.*leave {argument} out"
    with pytest.raises(UserError, match=message):
        WITHOUT_EFFECT[case]()


def test_a_size_with_some_effect_is_taken():
    """Beside a memory that is brought the sizes are those of the networks."""
    memory = layers.PseudoInverseMemory(4, 12)
    model = models.GPM(SHAPE, code_size=12, width=4, memory=memory)
    assert model.encoder.code_size == 12
    assert model.decoder.element_shape == (12,)
    slots = models.SlotMemoryVAE(SHAPE, 4, 12, read="softmax", **networks12())
    assert (slots.memory.memory_size, slots.memory.code_size) == (4, 12)


def networks12():
    return {
        "encoder": layers.ImageEncoder(SHAPE, 12, 4),
        "decoder": layers.ImageDecoder(SHAPE, 12, 1, 4),
    }
