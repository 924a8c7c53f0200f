import numpy as np
import pytest

from kgpm.data import ImageSet
from kgpm.errors import UserError
from kgpm.likelihoods import get as get_likelihood


def images(pixels, dynamic=False):
    pixels = np.array(pixels, "uint8").reshape(-1, 2, 2, 1)
    return ImageSet(pixels, None, "mine", "train", "", dynamic)


def test_pixels_are_checked_by_their_levels():
    bernoulli = get_likelihood("bernoulli")
    images([0, 255, 255, 0]).check_pixels(bernoulli)
    images([0, 9, 9, 0], dynamic=True).check_pixels(bernoulli)
    late = images([0, 255, 255, 0] * 3000 + [0, 128, 0, 0])
    with pytest.raises(UserError, match=r"pixels of mine, whose 3 levels"):
        late.check_pixels(bernoulli)
    late.check_pixels(get_likelihood("gaussian"))


def test_the_histogram_counts_every_pixel_once():
    pixels = np.random.RandomState(0).randint(0, 256, (2500, 2, 2, 1))
    made = images(pixels)
    counts = made.histogram()
    np.testing.assert_array_equal(counts, np.bincount(pixels.ravel()))
    assert made.pixel_variance() == pytest.approx((pixels / 255.0).var())
