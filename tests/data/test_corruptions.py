import numpy as np
import pytest

from kgpm.data import CORRUPTIONS
from kgpm.data import get_corruption
from kgpm.data import make_corruption
from kgpm.data.corruptions import Corruption
from kgpm.data.corruptions import Level
from kgpm.errors import UserError


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, (2, 3, 28, 28, 1)).astype("float32")


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_every_record_is_complete(name, shape):
    record = get_corruption(name)
    level = record.level_of(shape)
    assert level.label
    assert level.lowest <= level.default <= level.highest
    assert 0.0 < level.step <= level.highest - level.lowest
    images = np.random.default_rng(0).integers(0, 2, (6, *shape))
    images = images.astype("float32")
    for value in (level.lowest, level.default, level.highest):
        for binary in (True, False):
            corrupt = make_corruption(name, value, binary=binary)
            noisy = np.asarray(corrupt(images, 1))
            assert noisy.shape == images.shape
            assert noisy.min() >= 0.0 and noisy.max() <= 1.0
            np.testing.assert_array_equal(noisy, corrupt(images, 1))
            if value == level.default:
                assert (noisy != images).any(axis=(1, 2, 3)).all()
                if binary:
                    stays = bool(np.isin(noisy, [0.0, 1.0]).all())
                    assert stays == record.keeps_binary


def test_rotated_grey_images_stay_grey(images):
    grey = make_corruption("rotate", 45.0, binary=False)(images, 1)
    assert len(np.unique(np.asarray(grey))) > 2


def test_default_block_is_that_of_the_paper():
    block = get_corruption("block")
    assert block.level_of((28, 28, 1)).default == 12
    assert block.level_of((64, 64, 3)).default == 27
    assert block.level_of((64, 48, 3)).highest == 48


def test_block_is_filled_with_the_value_asked_for(images):
    white = make_corruption("block", 28, binary=True, block_value=1.0)
    assert (np.asarray(white(images, 0)) == 1).all()
    with pytest.raises(UserError, match="0 or 1"):
        make_corruption("block", 3, binary=True, block_value=0.5)
    make_corruption("block", 3, binary=False, block_value=0.5)


@pytest.mark.parametrize("name", sorted({*CORRUPTIONS} - {"block"}))
def test_only_a_block_takes_a_value(name):
    with pytest.raises(UserError, match="block_value with noise=block only"):
        make_corruption(name, 1.0, binary=False, block_value=0.0)


def test_a_record_of_ones_own(images, monkeypatch):
    def negative(images, level, seed, binary):
        return (1.0 if binary else level) - images

    level = Level("what white becomes", 1.0, 0.5, 1.0, 0.5)
    mine = Corruption(negative, level, options=("binary",))
    monkeypatch.setitem(CORRUPTIONS, "negative", mine)
    for binary in (True, False):
        corrupt = make_corruption("negative", 0.5, binary=binary)
        expected = (1.0 if binary else 0.5) - images
        np.testing.assert_array_equal(corrupt(images, 0), expected)


def test_unknown_kinds_are_refused_with_a_suggestion():
    with pytest.raises(UserError, match="Did you mean 'speckle'"):
        make_corruption("speckel", 0.1, binary=True)
    with pytest.raises(UserError, match="gaussian"):
        get_corruption("nonsense")
