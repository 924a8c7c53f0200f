import numpy as np
import pytest
from scipy import special
from scipy import stats

from kgpm.errors import UserError
from kgpm.likelihoods import FixedGaussian


@pytest.fixture
def case():
    generator = np.random.default_rng(0)
    levels = generator.integers(0, 256, (4, 5, 3, 2))
    return levels, generator.normal(size=(4, 5, 3, 2))


@pytest.mark.slow
def test_without_a_seed_it_is_the_average_over_the_noise(case):
    levels, raw = case
    loc = (255 * special.expit(raw) + 0.5) / 256
    nodes, weights = np.polynomial.legendre.leggauss(8)
    x = (levels[..., None] + (nodes + 1) / 2) / 256
    density = stats.norm(loc[..., None], np.sqrt(0.04)).logpdf(x)
    expected = np.sum(weights / 2 * density, axis=-1).sum((1, 2, 3))
    likelihood = FixedGaussian(0.04)
    got = likelihood.log_prob(levels / 255, raw)
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    draws = [likelihood.log_prob(levels / 255, raw, s) for s in range(400)]
    error = np.std(draws, axis=0) / 20
    assert np.all(np.abs(np.mean(draws, axis=0) - expected) < 5 * error)


def test_it_is_the_squared_error_and_a_constant(case):
    """-log p = D / 2 (MSE (255 / 256)^2 / v + 1 / (12 256^2 v) + ln 2 pi v)."""
    levels, raw = case
    likelihood = FixedGaussian(0.0633)
    error = np.mean((levels / 255 - likelihood.mean(raw)) ** 2, axis=(1, 2, 3))
    each = error * (255 / 256) ** 2 / 0.0633
    constant = 1 / (12 * 256**2 * 0.0633) + np.log(2 * np.pi * 0.0633)
    np.testing.assert_allclose(
        -likelihood.log_prob(levels / 255, raw),
        0.5 * 30 * (each + constant),
        rtol=1e-9,
    )


def test_samples_have_mean_and_variance():
    raw = np.full((20000, 1, 1, 1), 0.3)
    samples = np.asarray(FixedGaussian(0.01).sample(raw, seed=1))
    assert samples.mean() == pytest.approx(special.expit(0.3), abs=0.004)
    assert samples.var() == pytest.approx(0.01, rel=0.05)


def test_its_figure_is_the_squared_error_over_the_variance(case):
    levels, raw = case
    likelihood = FixedGaussian(0.04)
    figures = likelihood.figures((levels / 255).astype("float32"), raw)
    assert tuple(figures) == likelihood.figure_names == ("nmse",)
    assert figures["nmse"].dtype == "float32"
    error = levels / 255 - special.expit(raw)
    np.testing.assert_allclose(
        figures["nmse"], np.mean(error**2, axis=(1, 2, 3)) / 0.04, rtol=1e-6
    )


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan")])
def test_mistakes(variance):
    with pytest.raises(UserError, match="variance > 0, received"):
        FixedGaussian(variance)
