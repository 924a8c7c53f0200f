"""Sizes, shapes and parameter counts of encoder and decoder."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.layers import ImageDecoder
from kgpm.layers import ImageEncoder
from kgpm.layers import ResidualBlock
from kgpm.layers.networks import image_sizes


def downsamplings(encoder):
    return [each for each in encoder.chain if each.name.startswith("down")]


SIZES = {
    # side: (encoder, decoder)
    28: ([28, 15, 8, 5], [4, 8, 15, 28]),
    32: ([32, 17, 9, 5], [5, 9, 17, 32]),
    64: ([64, 33, 17, 9, 5], [5, 9, 17, 33, 64]),
    26: ([26, 14, 8, 5], [4, 8, 14, 26]),
    8: ([8, 5], [4, 8]),
}


@pytest.mark.parametrize("side", SIZES)
def test_sizes(side):
    encoder, decoder = SIZES[side]
    count = image_sizes.num_scales(side)
    assert count == len(encoder) - 1
    assert image_sizes.encoder_sizes(side, count) == encoder
    assert image_sizes.decoder_sizes(side, count) == decoder


def test_an_image_has_at_least_one_scale():
    assert image_sizes.num_scales(4) == 1
    assert image_sizes.num_scales(5) == 1


def test_every_decoder_step_is_a_layer_that_exists():
    for scales in range(1, 7):
        for side in range(4, 200):
            if image_sizes.num_scales(side) > scales:
                continue
            sizes = image_sizes.decoder_sizes(side, scales)
            assert sizes[-1] == side and len(sizes) == scales + 1
            for small, large in zip(sizes, sizes[1:], strict=False):
                kernel, crop = image_sizes.transposed_kernel(small, large)
                assert kernel in (3, 4) and crop in (0, 1, 2)
                assert 2 * (small - 1) + kernel - 2 * crop == large


def test_transposed_kernels_of_the_published_decoder():
    assert image_sizes.transposed_kernel(4, 8) == (4, 1)
    assert image_sizes.transposed_kernel(8, 15) == (3, 1)
    assert image_sizes.transposed_kernel(15, 28) == (4, 2)


@pytest.mark.parametrize(
    "shape",
    [(28, 28, 1), (32, 32, 3), (26, 26, 1), (8, 8, 1), (48, 40, 3), (4, 24, 2)],
)
def test_output_shapes(shape):
    encoder = ImageEncoder(shape, 6, width=2)
    decoder = ImageDecoder(shape, 6, 5, width=2)
    images = np.random.default_rng(1).random((2, *shape), "float32")
    codes = encoder(images)
    assert codes.shape == (2, 6)
    parameters = decoder(codes)
    assert parameters.shape == (2, *shape[:2], 5)
    assert np.all(np.isfinite(parameters)) and np.any(parameters)


def test_64_pixels():
    encoder = ImageEncoder((64, 64, 3), 6, width=2)
    encoder.build()
    assert len(downsamplings(encoder)) == 4
    assert encoder.chain[-1].kernel.shape == (5 * 5 * 2, 6)
    decoder = ImageDecoder((64, 64, 3), 6, 30, width=2)
    decoder.build()
    shape, sides = (None, 6), []
    for layer in decoder.chain:
        shape = layer.compute_output_shape(shape)
        sides.append(shape[1:3])
    assert sides[1::2] == [(side, side) for side in (5, 9, 17, 33, 64)]
    assert shape == (None, 64, 64, 30)


def test_widths_are_finest_scale_first():
    encoder = ImageEncoder((28, 28, 1), 6, width=[2, 4])
    assert [layer.filters for layer in downsamplings(encoder)] == [2, 4, 4]
    decoder = ImageDecoder((28, 28, 1), 6, 1, width=[2, 4])
    blocks = [each for each in decoder.chain if isinstance(each, ResidualBlock)]
    assert [block.chain[0].filters for block in blocks] == [4, 4, 2]


def test_parameter_counts_are_those_of_the_published_networks():
    encoder = ImageEncoder((28, 28, 1), 100)
    decoder = ImageDecoder((28, 28, 1), 100, 1)
    encoder.build()
    decoder.build()
    # The published code has 112,159 parameters without its idle LSTM: 3,200
    # of M0, 4 scalars, and 108,955 of its networks.
    published = 112_159 - 3_200 - 4
    # It has one more block, of one channel, at the end of its decoder ...
    last_block = 2 * (3 * 3 + 2)
    # ... and a bias for each channel of the first map, not for each value.
    biases = 4 * 4 * 16 - 16
    assert encoder.count_params() == 62_612
    total = encoder.count_params() + decoder.count_params()
    assert total == published - last_block + biases


def test_images_do_not_inform_each_other():
    encoder = ImageEncoder((8, 8, 1), 3, width=4)
    images = np.random.default_rng(2).random((4, 8, 8, 1), "float32")
    together = encoder(images)
    alone = tf.concat([encoder(images[i : i + 1]) for i in range(4)], 0)
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.slow
def test_xla_compiles_the_networks_and_their_gradients():
    """Their written-out gradients must be of operations that XLA knows."""
    encoder = ImageEncoder((8, 8, 1), 3, width=4)
    decoder = ImageDecoder((8, 8, 1), 3, 1, width=4)
    encoder.build()
    decoder.build()
    weights = encoder.trainable_weights + decoder.trainable_weights
    images = np.random.default_rng(3).random((2, 8, 8, 1), "float32")

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(decoder(encoder(images)) - images))
        return tape.gradient(loss, weights)

    for compiled, plain in zip(
        tf.function(gradients, jit_compile=True)(), gradients(), strict=True
    ):
        scale = np.max(np.abs(plain))
        np.testing.assert_allclose(compiled, plain, atol=1e-4 * scale)


@pytest.mark.parametrize("shape", [(28, 28), (3, 8, 1), (8, 8, 0), (8, -8, 1)])
def test_image_shapes_that_are_refused(shape):
    with pytest.raises(UserError, match="at least 4 pixels, received"):
        ImageEncoder(shape, 4)
    with pytest.raises(UserError, match="at least 4 pixels, received"):
        ImageDecoder(shape, 4, 1)


@pytest.mark.parametrize("width", [0, [], [4, 0], [2, 2, 2]])
def test_widths_that_are_refused(width):
    with pytest.raises(UserError, match="1 to 1 positive numbers"):
        ImageEncoder((8, 8, 1), 4, width=width)


def test_other_arguments_that_are_refused():
    with pytest.raises(UserError, match="code_size .* received 0"):
        ImageEncoder((8, 8, 1), 0)
    with pytest.raises(UserError, match="num_parameters of at least 1, .* 0"):
        ImageDecoder((8, 8, 1), 4, 0)
    with pytest.raises(UserError, match="group, none, received 'batch'"):
        ImageEncoder((8, 8, 1), 4, normalization="batch")
