"""What holds for every likelihood, and how they are named and saved."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import likelihoods
from kgpm.errors import UserError

NAMES = sorted(likelihoods.LIKELIHOODS)


def example(name, channels=3, leading=(2, 3), size=4, seed=0, dtype="f4"):
    likelihood = likelihoods.get(name)
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 256, (*leading, size, size, channels))
    if name == "bernoulli":
        levels = 255 * (levels > 127)
    raw = rng.normal(
        size=(*leading, size, size, likelihood.num_parameters(channels))
    )
    return likelihood, (levels / 255).astype(dtype), raw.astype(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_ranges(name, channels):
    likelihood, images, raw = example(name, channels)
    assert likelihood.log_prob(images, raw).shape == (2, 3)
    for made in (
        likelihood.mean(raw),
        likelihood.sample(raw, seed=1),
        likelihood.point(raw),
    ):
        assert made.shape == images.shape
        assert made.dtype == "float32"
        assert tf.reduce_min(made) >= 0 and tf.reduce_max(made) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_tf_function_with_unknown_axes_equals_eager(name):
    likelihood, images, raw = example(name)
    unknown = [None, None]
    signature = [
        tf.TensorSpec(unknown + list(images.shape[2:])),
        tf.TensorSpec(unknown + list(raw.shape[2:])),
        tf.TensorSpec([2], "int32"),
    ]

    @tf.function(input_signature=signature)
    def graph(images, raw, seed):
        return (
            likelihood.log_prob(images, raw, seed=seed),
            likelihood.mean(raw),
            likelihood.point(raw),
            likelihood.sample(raw, seed),
        )

    seed = tf.constant([3, 4])
    eager = (
        likelihood.log_prob(images, raw, seed=seed),
        likelihood.mean(raw),
        likelihood.point(raw),
        likelihood.sample(raw, seed),
    )
    for got, expected in zip(graph(images, raw, seed), eager, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert graph.get_concrete_function().structured_outputs[0].shape == [
        None,
        None,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_leading_axes_are_free_and_broadcast(name):
    likelihood, images, raw = example(name, leading=(5, 2))
    together = likelihood.log_prob(images[0], raw)
    assert together.shape == (5, 2)
    for i in range(5):
        np.testing.assert_allclose(
            together[i], likelihood.log_prob(images[0], raw[i]), rtol=1e-5
        )
    one = likelihood.log_prob(images[0, 0], raw[0, 0])
    assert one.shape == ()
    np.testing.assert_allclose(one, together[0, 0], rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_extreme_parameters_stay_finite(name, channels):
    likelihood, _, raw = example(name, channels, leading=(40,), size=2)
    rng = np.random.default_rng(5)
    raw = tf.constant(rng.choice([-50.0, 0.0, 50.0], raw.shape), "float32")
    for level in (0.0, 1.0) if name == "bernoulli" else (0.0, 128 / 255, 1.0):
        images = tf.fill([40, 2, 2, channels], tf.constant(level, "float32"))
        with tf.GradientTape() as tape:
            tape.watch(raw)
            value = likelihood.log_prob(images, raw)
        gradient = tape.gradient(value, raw)
        assert np.isfinite(value).all()
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0
    for made in (likelihood.mean(raw), likelihood.sample(raw, seed=0)):
        assert np.isfinite(made).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_against_finite_differences(name):
    likelihood, images, raw = example(name, leading=(), size=1, dtype="f8")
    raw = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        value = likelihood.log_prob(images, raw)
    gradient = tape.gradient(value, raw)
    # One leading axis: a step in each parameter in turn.
    step = 1e-5 * np.eye(raw.shape[-1])[:, None, None, :]
    slopes = (
        likelihood.log_prob(images, raw + step)
        - likelihood.log_prob(images, raw - step)
    ) / 2e-5
    np.testing.assert_allclose(gradient[0, 0], slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_precision(name):
    likelihood, images, raw = example(name)
    small = tf.cast(raw, "bfloat16")
    got = likelihood.log_prob(images, small)
    assert got.dtype == "float32"
    # bfloat16 numbers are float32 numbers: nothing else is lost.
    np.testing.assert_array_equal(
        got, likelihood.log_prob(images, tf.cast(small, "float32"))
    )
    assert likelihood.mean(small).dtype == "float32"
    assert likelihood.sample(small, seed=0).dtype == "float32"
    double = likelihood.log_prob(images, raw.astype("f8"))
    assert double.dtype == "float64"
    np.testing.assert_allclose(
        likelihood.log_prob(images, raw), double, rtol=1e-4
    )


@pytest.mark.parametrize("name", NAMES)
def test_sample_follows_its_seed_and_the_mean(name):
    likelihood, _, raw = example(name, leading=(), size=2)
    raw = 0.1 * raw
    if name == "gaussian":
        # Narrow: its mean ignores the cut of samples to [0, 1].
        raw[..., 3:] -= 2.0
    many = np.broadcast_to(raw, (10000, *raw.shape))
    samples = likelihood.sample(many, seed=7).numpy()
    np.testing.assert_array_equal(samples, likelihood.sample(many, seed=7))
    assert (samples != likelihood.sample(many, seed=8).numpy()).any()
    # Each draw is one of the 256 levels.
    np.testing.assert_allclose(
        samples * 255, np.round(samples * 255), atol=1e-4
    )
    error = samples.mean(axis=0) - likelihood.mean(many[0]).numpy()
    # Standard deviations are below 0.5: five standard errors, and half a
    # level where the mean is exact only to that.
    assert np.abs(error).max() < 5 * 0.5 / np.sqrt(10000) + 0.5 / 255


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_one_number_an_image(name):
    likelihood, images, raw = example(name)
    figures = likelihood.figures(images, tf.cast(raw, "bfloat16"))
    assert tuple(figures) == likelihood.figure_names
    assert all(value.shape == (2, 3) for value in figures.values())
    assert {value.dtype for value in figures.values()} <= {tf.float32}


def test_bits_per_dim():
    nats = 3072 * np.log(2.0)
    for name in NAMES:
        bits = likelihoods.get(name).bits_per_dim(nats, (32, 32, 3))
        assert bits == pytest.approx(9.0 if "gaussian" in name else 1.0)
    likelihood = likelihoods.get("bernoulli")
    tensor = likelihood.bits_per_dim(tf.constant([nats, 2 * nats]), (32, 32, 3))
    np.testing.assert_allclose(tensor, [1.0, 2.0], rtol=1e-6)
    with pytest.raises(UserError, match=r"\(height, width, channels\)"):
        likelihood.bits_per_dim(nats, (32, 32))


@pytest.mark.parametrize("name", NAMES)
def test_saving_round_trip(name):
    likelihood = likelihoods.get(name)
    assert likelihood.name == name
    assert likelihoods.get(likelihood) is likelihood
    config = keras.saving.serialize_keras_object(likelihood)
    assert config["registered_name"] == "kgpm>" + type(likelihood).__name__
    again = likelihoods.get(config)
    assert type(again) is type(likelihood)
    assert again.get_config() == likelihood.get_config()


def test_saving_keeps_arguments():
    mixture = likelihoods.DiscretizedLogisticMixture(num_components=3)
    config = keras.saving.serialize_keras_object(mixture)
    assert likelihoods.get(config).num_components == 3
    assert repr(mixture) == "DiscretizedLogisticMixture(num_components=3)"


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("bernouli", "received 'bernouli'.* Did you mean 'bernoulli'"),
        ("nothing like it", "received 'nothing like it'"),
        (3, "name, instance or configuration, received 3"),
        ({"class_name": "no"}, "name, instance or configuration, received"),
    ],
)
def test_unknown_identifier(identifier, message):
    with pytest.raises(UserError, match=message):
        likelihoods.get(identifier)


@pytest.mark.parametrize("name", NAMES)
def test_validate(name):
    likelihood, images, _ = example(name)
    likelihood.validate(images)
    for bad, message in (
        (images * 255, r"in \[0, 1\]"),
        (images - 0.5, r"in \[0, 1\]"),
        (np.where(images > 0.5, np.nan, images), "nan"),
        (np.where(images > 0.5, np.inf, images), "inf"),
        (images[:0], "at least one pixel"),
        (images[0, 0, 0], "at least one pixel"),
    ):
        with pytest.raises(UserError, match=message):
            likelihood.validate(bad)


def test_validate_grey_pixels_for_bernoulli():
    images = np.zeros((1, 2, 2, 1))
    images[0, 1, 0, 0] = 0.25
    with pytest.raises(UserError, match="received 0.25; binarise"):
        likelihoods.Bernoulli().validate(images)
    likelihoods.Gaussian().validate(images)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_that_do_not_fit(name):
    likelihood, images, raw = example(name)
    with pytest.raises(UserError, match="parameters a pixel"):
        likelihood.log_prob(images, raw[..., :-1])
    # Those of one parameter a channel take any number of channels.
    if likelihood.num_parameters(3) > 3:
        with pytest.raises(UserError, match="parameters a pixel"):
            likelihood.mean(raw[..., :5])
