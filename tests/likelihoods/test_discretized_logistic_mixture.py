import numpy as np
import pytest
from scipy import special

from kgpm.errors import UserError
from kgpm.likelihoods import DiscretizedLogisticMixture
from tests.likelihoods import oracles

K = 4
LEVELS = np.arange(256.0)


def raw_pixel(seed=0, channels=3):
    """Raw parameters of one pixel: distinct components, strong coefficients."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=K * (10 if channels == 3 else 3))


def log_prob(levels, raw):
    """Scores of pixels `[N, C]` under the same raw parameters."""
    levels = np.asarray(levels, "f8")
    raw = np.broadcast_to(raw, (len(levels), 1, 1, raw.size))
    images = (levels / 255)[:, None, None, :]
    likelihood = DiscretizedLogisticMixture(num_components=K)
    return likelihood.log_prob(images, raw).numpy()


def test_num_parameters():
    assert DiscretizedLogisticMixture().num_parameters(1) == 30
    assert DiscretizedLogisticMixture().num_parameters(3) == 100
    with pytest.raises(UserError, match="1 or 3 channels"):
        DiscretizedLogisticMixture().num_parameters(2)
    with pytest.raises(UserError, match="at least 1, received 0"):
        DiscretizedLogisticMixture(num_components=0)


def test_rgb_equals_the_sum_over_components():
    rng = np.random.default_rng(1)
    for seed in range(3):
        raw = raw_pixel(seed)
        pixels = rng.integers(0, 256, (6, 3)).astype("f8")
        pixels[0], pixels[1] = 0, 255
        expected = [oracles.mixture_log_mass(p, raw, K) for p in pixels]
        np.testing.assert_allclose(log_prob(pixels, raw), expected, rtol=1e-6)


def test_grey_equals_the_sum_over_components():
    raw = raw_pixel(channels=1)
    logits, loc, scale = raw.reshape(3, K)
    masses = special.softmax(logits)[:, None] * oracles.level_mass(
        LEVELS, loc[:, None], oracles.logistic_scale(scale)[:, None]
    )
    np.testing.assert_allclose(
        log_prob(LEVELS[:, None], raw), np.log(masses.sum(axis=0)), rtol=1e-6
    )


def test_grey_masses_sum_to_one():
    masses = np.exp(log_prob(LEVELS[:, None], raw_pixel(channels=1)))
    np.testing.assert_allclose(masses.sum(), 1.0, rtol=1e-9)


def test_rgb_masses_sum_to_one():
    """Over all blue, then all green and blue, levels, against enumeration.

    Summing blue out must leave the mixture of red and green, with the same
    weights; its 256^2 masses must sum to one.
    """
    raw = raw_pixel()
    components = raw.reshape(10, K).T
    logits = components[:, 0]
    weights = special.softmax(logits)
    scales = oracles.logistic_scale(components[:, 4:7])
    slope = np.tanh(components[:, 7])
    red = oracles.level_mass(LEVELS, components[:, 1, None], scales[:, :1])
    green_loc = components[:, 2, None] + slope[:, None] * (LEVELS / 127.5 - 1.0)
    green = oracles.level_mass(
        LEVELS, green_loc[..., None], scales[:, 1, None, None]
    )
    pairs = np.einsum("k,kr,krg->rg", weights, red, green)
    np.testing.assert_allclose(pairs.sum(), 1.0, rtol=1e-9)
    for r, g in ((0, 0), (17, 200), (255, 3), (128, 255)):
        pixels = np.stack(
            [np.full(256, r), np.full(256, g), np.arange(256)], axis=-1
        )
        total = np.exp(log_prob(pixels, raw)).sum()
        np.testing.assert_allclose(total, pairs[r, g], rtol=1e-6)


def test_zeros_are_mid_grey():
    likelihood = DiscretizedLogisticMixture()
    for size in (30, 100):
        mean = likelihood.mean(np.zeros((2, 2, size), "f4"))
        np.testing.assert_allclose(mean, 0.5, atol=1e-6)


def test_mean_of_grey_is_that_of_the_masses():
    raw = raw_pixel(channels=1)
    masses = np.exp(log_prob(LEVELS[:, None], raw))
    mean = DiscretizedLogisticMixture(num_components=K).mean(
        raw.reshape(1, 1, -1)
    )
    np.testing.assert_allclose(mean, np.sum(masses * LEVELS) / 255, atol=2e-3)


def test_samples_have_the_moments_of_the_mixture():
    """Means and covariances of channels, where nothing is cut off.

    Within a component green = m_g + a red + noise; a mixture adds the
    covariance of the component means.
    """
    raw = np.zeros((K, 10))
    raw[:, 0] = [0.0, 0.5, -0.5, 1.0]
    raw[:, 1:4] = np.random.default_rng(2).uniform(-0.3, 0.3, (K, 3))
    raw[:, 4:7] = -1.5
    raw[:, 7:10] = [0.8, -0.6, 0.5]
    weights = special.softmax(raw[:, 0])
    a, b, c = np.tanh(raw[0, 7:10])
    mix = np.array([[1, 0, 0], [a, 1, 0], [b + a * c, c, 1]])
    locs = raw[:, 1:4] @ mix.T
    mean = weights @ locs
    variance = (oracles.logistic_scale(-1.5) * np.pi) ** 2 / 3
    covariance = variance * mix @ mix.T + np.einsum(
        "k,ki,kj->ij", weights, locs - mean, locs - mean
    )

    number = 40000
    likelihood = DiscretizedLogisticMixture(num_components=K)
    many = np.broadcast_to(raw.T.reshape(1, 1, -1), (number, 1, 1, 10 * K))
    samples = 2 * likelihood.sample(many, seed=3).numpy().reshape(-1, 3) - 1
    got = likelihood.mean(many[0]).numpy().ravel() * 2 - 1
    # 5 standard errors; 1 part in 50 where tails are cut at black and white.
    error = 5 * np.sqrt(covariance.max() / number)
    np.testing.assert_allclose(got, mean, atol=0.005)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=error + 0.005)
    np.testing.assert_allclose(
        np.cov(samples.T), covariance, atol=0.05 * covariance.max()
    )


def test_one_component_for_all_channels_of_a_pixel():
    """Two certain components, black and white: no pixel mixes them."""
    raw = np.zeros((2, 10), "f4")
    raw[:, 1:4] = [[-1.0] * 3, [1.0] * 3]
    raw[:, 4:7] = -9.0
    many = np.broadcast_to(raw.T.reshape(1, 1, -1), (500, 1, 1, 20))
    samples = DiscretizedLogisticMixture(num_components=2).sample(many, 0)
    pixels = np.round(samples.numpy().reshape(-1, 3))
    assert set(pixels.sum(axis=-1)) == {0.0, 3.0}
    assert 0.4 < pixels.mean() < 0.6
