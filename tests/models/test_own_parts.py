"""A model of parts that are not this package's."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kgpm import UserError
from kgpm import layers
from kgpm import models
from kgpm.evaluation.evaluation import evaluate
from kgpm.serving import ExportedModel
from kgpm.serving import export_model

from .conftest import SHAPE
from .conftest import SMALL
from .conftest import batches
from .conftest import compiled
from .conftest import three_episodes
from .own_parts import HopfieldMemory
from .own_parts import own_decoder
from .own_parts import own_encoder
from .own_parts import own_model


@pytest.fixture(scope="module")
def trained():
    """The model after some epochs, and how they went."""
    model = compiled(own_model(autoencoder_weight=0.5), seed=5)
    data = batches(three_episodes())
    history = model.fit(
        data, validation_data=data, epochs=40, verbose=0, shuffle=False
    ).history
    return model, history


@pytest.mark.slow
def test_the_bound_falls_and_every_weight_moves(trained):
    model, history = trained
    assert history["val_nelbo"][-1] < history["val_nelbo"][0] - 2.0
    assert {"nll", "kl_z", "autoencoder", "gradient_norm"} <= history.keys()
    for variable, start in zip(
        model.weights, own_model().get_weights(), strict=True
    ):
        assert np.any(variable.numpy() != start)
    # Two convolutions, two dense layers, and what the memory learns.
    assert len(model.weights) == 9


@pytest.mark.slow
def test_it_is_saved_and_loaded(trained, images, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.memory) is HopfieldMemory
    configs = [json.dumps(each.get_config()) for each in (model, loaded)]
    assert configs[0] == configs[1]
    np.testing.assert_array_equal(loaded(images), model(images))
    terms = loaded.bound_terms(images, seed=1)
    for name, value in model.bound_terms(images, seed=1).items():
        np.testing.assert_array_equal(value, terms[name])
    # And goes on from there.
    for first, second in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_it_is_evaluated(trained, images):
    model, _ = trained
    weights = np.ones((3, 5), "float32")
    weights[2, 3:] = 0.0
    result = evaluate(
        model, batches(images, weights), num_draws=2, num_importance_samples=5
    )
    figures = result["figures"]
    assert result["num_images"] == 13
    assert not result["why_no_bound"]
    for name in ("A", "B", "C_prior", "C_other"):
        assert np.isfinite(figures[name]["nelbo"]["mean"])
    # Without its image a memory explains it worse; the code costs the same.
    assert figures["A"]["nll"]["mean"] < figures["B"]["nll"]["mean"]
    codes, log_variance = model.encode(images), model.memory.log_variance
    kl_z = (
        0.5
        * np.sum(
            np.exp(log_variance) + np.square(codes) - 1.0 - log_variance,
            axis=-1,
        )[weights > 0]
    )
    for name in ("A", "B", "C_prior", "C_other"):
        found = figures[name]["kl_z"]["mean"]
        assert found == pytest.approx(kl_z.mean(), rel=1e-5)
    assert figures["A"]["nelbo_iw"]["mean"] < figures["A"]["nelbo"]["mean"]


@pytest.mark.slow
def test_it_is_served(trained, images, tmp_path):
    model, _ = trained
    export_model(model, tmp_path / "own")
    served = ExportedModel(tmp_path / "own")
    answer = served.call("serving_default", {"episode": images})
    np.testing.assert_allclose(
        answer["reconstruction"], model(images), atol=1e-6
    )
    memory = served.call("write", {"episode": images})
    answer = served.call("read", {"query": images[:, :2], **memory})
    np.testing.assert_allclose(
        answer["reconstruction"],
        model.read(images[:, :2], model.write(images)),
        atol=1e-6,
    )
    # It says nothing of streams, and is not asked for any.
    assert "update" not in served.signatures


@pytest.mark.parametrize(
    "constructor",
    [models.GPM, models.KanervaMachine, models.SlotMemoryVAE, models.VAE],
)
def test_a_memory_among_the_default_parts_of_a_model(constructor, images):
    """What a constructor has for its own memory does not stand in its way."""
    model = constructor(memory=HopfieldMemory(10), **SMALL)
    assert model.term_names == ("nll", "kl_z")
    assert np.all(np.isfinite(model.bound_terms(images, seed=0)["nll"]))


# What is brought, and what is said of it.
MISTAKES = {
    "codes of another length": (
        {"encoder": own_encoder(7)},
        "an encoder, a memory and a decoder that fit each other, received",
    ),
    "codes of another rank": (
        {"encoder": keras.layers.Conv2D(10, 3)},
        "an encoder, a memory and a decoder that fit each other, received",
    ),
    "a decoder of fewer parameters": (
        {"likelihood": "gaussian"},
        r"ends with \[8, 8, 2\], 2 parameters a pixel for the gaussian "
        r"likelihood, received \[8, 8, 1\]",
    ),
    "a decoder of other pixels": (
        {"decoder": keras.layers.Dense(64)},
        r"a decoder whose output ends with \[8, 8, 1\].* received \[64\]",
    ),
    "no encoder": ({"encoder": len}, "encoder to be a Keras layer, received"),
    "no decoder": ({"decoder": "transposed"}, "decoder to be a Keras layer"),
    "no memory": (
        {"memory": keras.layers.Dense(10)},
        r"memory to be a kgpm.layers.Memory \(a class to inherit\), received",
    ),
    "no likelihood": ({"likelihood": 3}, "likelihood's name, .* received 3"),
}


def one_sentence(call, message):
    with pytest.raises(UserError, match=f"^Expected .*{message}") as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400


@pytest.mark.parametrize("mistake", MISTAKES)
def test_parts_that_make_no_model(mistake):
    arguments, message = MISTAKES[mistake]
    one_sentence(lambda: own_model(**arguments), message)


@pytest.mark.parametrize(
    ("constructor", "arguments", "message"),
    [
        (
            models.GPM,
            {"memory": layers.PseudoInverseMemory(4, 12)},
            "fit each other, received a memory",
        ),
        (models.VMA, {"encoder": own_encoder()}, "to be an AddressEncoder"),
        (models.VMA, {"memory": HopfieldMemory(10)}, "to be an ImageMemory"),
        (models.VMA, {"decoder": own_decoder()}, "fit each other, received"),
        *(
            (
                constructor,
                {"encoder": own_encoder()},
                "memory= beside an encoder of your own",
            )
            for constructor in (
                models.MemoryVAE,
                models.VariationalMemoryVAE,
                models.VQVAE,
            )
        ),
        (
            models.GridAutoencoder,
            {"encoder": own_encoder()},
            "log_ratio of shape",
        ),
        (
            models.KanervaPlusPlus,
            {"encoder": own_encoder(), "latent_size": 6},
            "fit each other, received a memory",
        ),
    ],
)
def test_parts_that_do_not_fit_the_default_ones(
    constructor, arguments, message
):
    one_sentence(lambda: constructor(SHAPE, **arguments), message)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"term_names": ("kl_w",)}, r"term_names \(kl_w\), received kl_z"),
        ({"sample": "scalar"}, r"kl_z of shape \[B, Q\].*received \[\]"),
    ],
)
def test_a_memory_whose_terms_are_not_what_it_says_is_refused(change, words):
    """At once, not by a KeyError in the first step of a training."""

    class Wrong(HopfieldMemory):
        term_names = change.get("term_names", HopfieldMemory.term_names)

        def sample(self, *arguments, **options):
            draw = super().sample(*arguments, **options)
            if "sample" not in change:
                return draw
            return draw._replace(kl={"kl_z": ops.sum(draw.kl["kl_z"])})

    with pytest.raises(UserError, match=words):
        models.GPM(SHAPE, code_size=7, memory=Wrong(7))
