"""TSM-ResNet18 against PyTorch's arithmetic in NumPy, and its neighbours."""

import random

import numpy as np
import pytest
import scipy.signal

from kgpm import UserError
from kgpm.layers import TemporalShiftBlock
from kgpm.layers import TemporalShiftResNet
from kgpm.ops import temporal_shift

SHAPE = (17, 17, 1)


def make(shape=SHAPE, **options):
    random.seed(0)
    options = {"width": 8, "num_blocks": 1, **options}
    layer = TemporalShiftResNet(shape, **options)
    layer.build()
    return layer


def episodes(shape=SHAPE, count=2, length=5, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((count, length, *shape)).astype("float32")


def convolve(images, kernel, stride):
    """A convolution with one pixel of padding, channel by channel."""
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    result = []
    for image in padded:
        maps = [
            sum(
                scipy.signal.correlate2d(
                    image[..., i], kernel[..., i, o], mode="valid"
                )
                for i in range(kernel.shape[2])
            )
            for o in range(kernel.shape[3])
        ]
        result.append(np.stack(maps, axis=-1)[::stride, ::stride])
    return np.stack(result)


def normalise(values, norm):
    gamma, beta, mean, variance = norm.get_weights()
    return (values - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def test_a_block_shifts_before_its_first_convolution_only():
    random.seed(0)
    block = TemporalShiftBlock(6, stride=2, shift_fraction=0.25)
    block.build((None, 6, 5, 4))
    rng = np.random.default_rng(1)
    for norm in (*block.norms, block.projection_norm):
        norm.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in norm.weights])
    images = rng.normal(size=(3, 6, 5, 4)).astype("float32")
    shifted = images.copy()
    shifted[..., :2] = 0.0
    shifted[:-1, ..., 0] = images[1:, ..., 0]
    shifted[1:, ..., 1] = images[:-1, ..., 1]
    kernels = [c.get_weights()[0] for c in block.convolutions]
    hidden = normalise(convolve(shifted, kernels[0], 2), block.norms[0])
    hidden = convolve(np.maximum(hidden, 0.0), kernels[1], 1)
    skip = images[:, ::2, ::2] @ block.projection.get_weights()[0][0, 0]
    expected = np.maximum(
        normalise(hidden, block.norms[1])
        + normalise(skip, block.projection_norm),
        0.0,
    )
    np.testing.assert_allclose(block(images, length=3), expected, atol=1e-4)


def test_sides_are_those_of_resnet18():
    layer = make((28, 28, 1), num_blocks=2)
    shape = (None, *layer._stem_sides(), 8)
    sides = [shape[1]]
    for block in layer.blocks:
        shape = block.compute_output_shape(shape)
        sides.append(shape[1])
    assert sides == [7, 7, 7, 4, 4, 2, 2, 1, 1]
    assert shape == (None, 1, 1, 64)


def test_parameters_are_those_of_resnet18():
    """11,689,512 of torchvision's, less 513,000 of its classifier."""
    layer = TemporalShiftResNet((64, 64, 3))
    layer.build()
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 11_689_512 - 513_000
    assert layer.code_size == 512


@pytest.mark.parametrize("stem", ["standard", "small"])
def test_a_change_reaches_the_neighbours_and_only_in_reach(stem):
    """Each of 4 blocks hands values one image on."""
    layer = make(stem=stem)
    before = episodes(length=12)
    after = before.copy()
    after[:, 6] = 1.0 - after[:, 6]
    change = np.abs(np.asarray(layer(after) - layer(before))).max(axis=(0, 2))
    assert (change[2:11] > 0.0).all()
    assert not change[:2].any() and not change[11:].any()


def test_without_shift_images_are_on_their_own():
    layer = make(shift_fraction=0.0)
    images = episodes()
    np.testing.assert_allclose(
        layer(images)[:, :1], layer(images[:, :1]), atol=1e-5
    )


def test_one_image_is_shifted_zeros_and_keeps_other_channels():
    layer = make()
    images = episodes(length=1)
    assert np.isfinite(layer(images)).all()
    # With T = 1 both shifted groups are zero: the same as a neighbour that
    # is absent.
    two = np.concatenate([images, images], axis=1)
    weights = np.array([[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(
        layer(two, weights)[:, :1], layer(images), atol=1e-5
    )


def test_an_absent_image_changes_no_other():
    layer = make()
    before = episodes()
    after = before.copy()
    after[:, 2] = 1.0
    weights = np.ones((2, 5))
    weights[:, 2] = 0.0
    left, right = layer(before, weights), layer(after, weights)
    present = [0, 1, 3, 4]
    np.testing.assert_array_equal(
        np.asarray(left)[:, present], np.asarray(right)[:, present]
    )


def test_no_inner_channel_is_always_zero():
    """A shift over segments of one image would blank a quarter of them."""
    layer = make()
    images = episodes(length=6)
    hidden = layer.stem_convolution(
        layer.stem_padding(images.reshape(-1, *SHAPE))
    )
    hidden = np.asarray(layer.stem_norm(hidden)).reshape(2, 6, 9, 9, 8)
    shifted = np.asarray(temporal_shift(hidden))
    assert (np.abs(shifted[:, 1:-1]).max(axis=(0, 1, 2, 3)) > 0.0).all()


def test_training_takes_the_statistics_of_the_batch():
    layer = make()
    images = episodes()
    means = [w.numpy() for w in layer.non_trainable_weights]
    layer(images)
    for new, old in zip(layer.non_trainable_weights, means, strict=True):
        np.testing.assert_array_equal(new, old)
    layer(images, training=True)
    assert any(
        np.any(new.numpy() != old)
        for new, old in zip(layer.non_trainable_weights, means, strict=True)
    )


def test_a_head_gives_codes_of_any_length():
    layer = make(code_size=10)
    codes = layer(episodes())
    assert codes.shape == (2, 5, 10)
    twin = TemporalShiftResNet.from_config(layer.get_config())
    twin.build()
    assert twin.count_params() == layer.count_params()


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((16, 16, 1), {}, "at least 17 pixels for stem='standard'.*small"),
        ((4, 8, 1), {"stem": "small"}, "at least 5 pixels for stem='small'"),
        ((28, 28, 1), {"stem": "large"}, "stem"),
        ((28, 28, 1), {"width": 0}, "width and num_blocks"),
        ((28, 28, 1), {"width": [8, 16]}, "width and num_blocks"),
    ],
)
def test_bad_arguments_are_refused(shape, options, message):
    with pytest.raises(UserError, match=message):
        TemporalShiftResNet(shape, **options)
