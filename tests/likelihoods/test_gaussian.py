import numpy as np
import pytest
from scipy import stats

from kgpm.errors import UserError
from kgpm.likelihoods import Gaussian
from tests.likelihoods import oracles

FLOOR = 1 / (256 * np.sqrt(12))


def raw_scale(scale):
    """The raw output that gives a scale, by bisection on the oracle."""
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        value = oracles.soft_clip(middle + np.log(0.25), np.log(FLOOR), 2.0)
        low, high = (middle, high) if value < np.log(scale) else (low, middle)
    return low


def parameters(loc, scale):
    return np.array([loc - 0.5, raw_scale(scale)]).reshape(1, 1, 2)


@pytest.mark.parametrize("scale", [0.002, 0.01, 0.3])
def test_density_averages_to_the_mass_of_a_level(scale):
    """E_u[p((k + u) / 256)] / 256 is the Gaussian's mass of the level."""
    level, loc = 90, 0.35
    images = np.full((20000, 1, 1, 1), level / 255, "f4")
    raw = np.broadcast_to(parameters(loc, scale), (20000, 1, 1, 2))
    log_prob = Gaussian().log_prob(images, raw, seed=[1, 2]).numpy()
    mass = oracles.gaussian_mass(level, loc, scale)
    error = np.std(np.exp(log_prob)) / np.sqrt(20000) / 256
    assert abs(np.exp(log_prob).mean() / 256 - mass) < 5 * error + 1e-12


@pytest.mark.parametrize("scale", [0.002, 0.01, 0.3])
def test_without_a_seed_it_is_the_average_over_the_noise(scale):
    level, loc = 90, 0.35
    nodes, weights = np.polynomial.legendre.leggauss(20)
    x = (level + (nodes + 1) / 2) / 256
    expected = np.sum(weights / 2 * stats.norm(loc, scale).logpdf(x))
    image = np.full((1, 1, 1), level / 255)
    got = Gaussian().log_prob(image, parameters(loc, scale)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    # A bound on the probability of the level, in nats and in bits.
    mass = oracles.gaussian_mass(level, loc, scale)
    assert got - np.log(256) <= np.log(mass)
    bits = Gaussian().bits_per_dim(-got, (1, 1, 1))
    np.testing.assert_allclose(bits, -(got - np.log(256)) / np.log(2))


def test_noise_is_seeded_and_differs_between_pixels():
    images = np.full((2, 4, 4, 1), 0.2, "f4")
    raw = np.zeros((2, 4, 4, 2), "f4")
    first = Gaussian().log_prob(images, raw, seed=3).numpy()
    np.testing.assert_array_equal(
        first, Gaussian().log_prob(images, raw, seed=3)
    )
    assert first[0] != first[1]
    assert (first != Gaussian().log_prob(images, raw, seed=4).numpy()).all()


def test_uniform_density_costs_eight_bits():
    assert Gaussian().bits_per_dim(0.0, (32, 32, 3)) == 8.0


def test_levels_are_rounded_and_not_truncated():
    """Every k / 255 in float32 is scored as the level k."""
    levels = np.arange(256).reshape(256, 1, 1, 1)
    raw = np.broadcast_to(parameters(0.4, 0.01), (256, 1, 1, 2))
    got = Gaussian().log_prob((levels / 255).astype("f4"), raw)
    middles = (levels.ravel() + 0.5) / 256
    expected = stats.norm(0.4, 0.01).logpdf(middles) - 1 / (24 * 2.56**2)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_scale_floor_is_the_noise_of_a_level():
    raw = np.array([0.0, -50.0]).reshape(1, 1, 2)
    image = np.full((1, 1, 1), 128 / 255)
    expected = stats.norm(0.5, FLOOR).logpdf(128.5 / 256) - 12 / 24
    np.testing.assert_allclose(Gaussian().log_prob(image, raw), expected)


def test_zeros_are_mid_grey():
    raw = np.zeros((20000, 1, 1, 2), "f4")
    np.testing.assert_allclose(Gaussian().mean(raw[:1]), 0.5, rtol=1e-6)
    deviation = np.std(Gaussian().sample(raw, seed=0))
    assert 0.2 < deviation < 0.26


def test_odd_parameters_are_refused():
    with pytest.raises(UserError, match="even number"):
        Gaussian().mean(np.zeros((1, 1, 3)))
