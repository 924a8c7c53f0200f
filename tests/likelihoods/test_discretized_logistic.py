import numpy as np
import pytest
import tensorflow as tf

from kgpm.likelihoods import DiscretizedLogistic
from kgpm.likelihoods import pixels
from tests.likelihoods import oracles

LEVELS = np.arange(256.0)


def log_masses(loc, raw_scale, dtype="f8"):
    """log P of each of the 256 levels."""
    raw = np.broadcast_to(np.array([loc, raw_scale], dtype), (256, 1, 1, 2))
    images = (LEVELS / 255).astype(dtype).reshape(256, 1, 1, 1)
    return DiscretizedLogistic().log_prob(images, raw).numpy()


@pytest.mark.parametrize("raw_scale", [-50.0, -4.0, 0.0, 1.0, 50.0])
@pytest.mark.parametrize("loc", [-3.0, -1.0, 0.1, 0.999, 2.0])
def test_masses_sum_to_one(loc, raw_scale):
    np.testing.assert_allclose(
        np.exp(log_masses(loc, raw_scale)).sum(), 1.0, rtol=1e-9
    )
    # The widest scale loses three digits in float32, and no more.
    np.testing.assert_allclose(
        np.exp(log_masses(loc, raw_scale, "f4")).sum(), 1.0, rtol=1e-3
    )


@pytest.mark.parametrize("raw_scale", [-3.0, 0.0, 2.0])
@pytest.mark.parametrize("loc", [-0.5, 0.2])
def test_masses_are_differences_of_the_cdf(loc, raw_scale):
    scale = oracles.logistic_scale(raw_scale)
    expected = oracles.level_mass(LEVELS, loc, scale)
    # Far in the tail the oracle's own difference has no digits left.
    sure = expected > 1e-9
    got = log_masses(loc, raw_scale)
    np.testing.assert_allclose(got[sure], np.log(expected[sure]), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_mass_and_gradients_are_those_of_the_quantized_distribution(dtype):
    """The product form against TFP's difference of distribution functions."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, 1000).astype(dtype)
    levels[:100], levels[100:200] = 0, 255
    loc = tf.constant(rng.normal(size=1000).astype(dtype))
    scale = tf.constant(np.exp(rng.uniform(-6, 1, 1000)).astype(dtype))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([loc, scale])
        got = pixels.logistic_log_mass(levels, loc, scale)
        expected = pixels.quantized_logistic(loc, scale).log_prob(levels)
    rtol = 1e-9 if dtype == "f8" else 5e-3
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol / 10)
    for values in (loc, scale):
        np.testing.assert_allclose(
            tape.gradient(got, values),
            tape.gradient(expected, values),
            rtol=rtol,
            atol=rtol,
        )


def test_far_locations_have_finite_scores_and_gradients():
    raw = tf.constant([[1e9, -50.0], [-1e9, -50.0], [1e9, 50.0]], tf.float32)
    levels = np.array([0.0, 100.0, 255.0], "f4") / 255
    images = np.repeat(levels, 3).reshape(9, 1, 1, 1)
    raw = tf.reshape(tf.tile(raw, [3, 1]), (9, 1, 1, 2))
    with tf.GradientTape() as tape:
        tape.watch(raw)
        score = DiscretizedLogistic().log_prob(images, raw)
    assert np.isfinite(score).all()
    assert np.isfinite(tape.gradient(score, raw)).all()


def test_edge_levels_are_open():
    """Black and white hold all the mass beyond them."""
    masses = np.exp(log_masses(-1.5, -2.0))
    assert masses[0] > 0.99
    masses = np.exp(log_masses(1.5, -2.0))
    assert masses[255] > 0.99


def test_certain_pixels_cost_almost_nothing():
    """At the floor exp(-7), a level centred on a pixel holds 97%."""
    masses = np.exp(log_masses(100 / 127.5 - 1, -50.0))
    expected = np.tanh(np.exp(7.0) / 255 / 2)
    np.testing.assert_allclose(masses[100], expected, rtol=1e-5)
    assert 0.97 < expected < 0.98


def test_zeros_are_mid_grey_and_a_quarter_wide():
    masses = np.exp(log_masses(0.0, 0.0))
    mean = np.sum(masses * LEVELS)
    deviation = np.sqrt(np.sum(masses * (LEVELS - mean) ** 2))
    np.testing.assert_allclose(mean, 127.5, rtol=1e-9)
    assert 0.18 < deviation / 255 < 0.25


@pytest.mark.parametrize("raw_scale", [-50.0, -2.0, 0.0, 50.0])
@pytest.mark.parametrize("loc", [-60.0, -0.9, 0.1005, 0.7, 60.0])
def test_mean_is_that_of_the_masses(loc, raw_scale):
    raw = np.array([loc, raw_scale]).reshape(1, 1, 2)
    masses = np.exp(log_masses(loc, raw_scale))
    expected = np.sum(masses * LEVELS) / 255
    got = DiscretizedLogistic().mean(raw).numpy().item()
    assert abs(got - expected) <= 0.5 / 255 + 1e-9
    if raw_scale >= -2.0:  # smooth on the scale of a level
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_sample_frequencies_are_the_masses():
    raw = np.broadcast_to([-0.8, -1.0], (40000, 1, 1, 2)).astype("f4")
    samples = DiscretizedLogistic().sample(raw, seed=0).numpy().ravel()
    counts = np.bincount(np.round(samples * 255).astype(int), minlength=256)
    masses = np.exp(log_masses(-0.8, -1.0))
    error = np.sqrt(masses / 40000) + 1 / 40000
    assert (np.abs(counts / 40000 - masses) < 6 * error).all()


def test_parameters_are_locations_then_scales():
    raw = np.array([-0.5, 0.0, 0.5, -1.0, 0.0, 1.0])
    levels = np.array([40.0, 130.0, 250.0])
    got = DiscretizedLogistic().log_prob(
        (levels / 255).reshape(1, 1, 3), raw.reshape(1, 1, 6)
    )
    masses = oracles.level_mass(
        levels, raw[:3], oracles.logistic_scale(raw[3:])
    )
    np.testing.assert_allclose(got, np.log(masses).sum(), rtol=1e-9)
