import numpy as np
import pytest

from kgpm.data import CORRUPTIONS
from kgpm.data.noises import default_level
from kgpm.data.noises import make_corruption
from kgpm.errors import UserError


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, (2, 3, 28, 28, 1)).astype("float32")


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_every_kind_has_a_default_level_and_changes_images(name, images):
    level = default_level(name, (28, 28, 1))
    corrupt = make_corruption(name, level, binary=True)
    noisy = np.asarray(corrupt(images, 1))
    assert noisy.shape == images.shape
    assert noisy.min() >= 0 and noisy.max() <= 1
    assert (noisy != images).any(axis=(2, 3, 4)).all()
    np.testing.assert_array_equal(noisy, corrupt(images, 1))
    if name in ("salt_and_pepper", "block", "rotate"):
        assert set(np.unique(noisy)) <= {0.0, 1.0}


def test_rotated_grey_images_stay_grey(images):
    grey = make_corruption("rotate", 45.0, binary=False)(images, 1)
    assert len(np.unique(np.asarray(grey))) > 2


def test_default_block_is_that_of_the_paper():
    assert default_level("block", (28, 28, 1)) == 12
    assert default_level("block", (64, 64, 3)) == 27


def test_block_is_filled_with_the_value_asked_for(images):
    white = make_corruption("block", 28, binary=True, block_value=1.0)
    assert (np.asarray(white(images, 0)) == 1).all()
    with pytest.raises(UserError, match="0 or 1"):
        make_corruption("block", 3, binary=True, block_value=0.5)
    make_corruption("block", 3, binary=False, block_value=0.5)


def test_unknown_kinds_are_refused_with_a_suggestion():
    with pytest.raises(UserError, match="Did you mean 'speckle'"):
        make_corruption("speckel", 0.1, binary=True)
    with pytest.raises(UserError, match="gaussian"):
        default_level("nonsense", (28, 28, 1))
