"""EvoNormS0 against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm.layers import EvoNormS0


def built(channels, height=3, width=4, seed=0, **options):
    layer = EvoNormS0(dtype="float64", **options)
    layer.build((None, height, width, channels))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    inputs = rng.normal(size=(2, height, width, channels))
    return layer, inputs


def expected(layer, inputs, groups):
    gamma, beta, gate = (
        v.numpy() for v in (layer.gamma, layer.beta, layer.gate)
    )
    result = np.empty_like(inputs)
    size = inputs.shape[-1] // groups
    for n, group in np.ndindex(len(inputs), groups):
        part = slice(group * size, (group + 1) * size)
        x = inputs[n, ..., part]
        gated = x / (1.0 + np.exp(-gate[part] * x))
        scaled = gated / np.sqrt(np.var(x) + 1e-5)
        result[n, ..., part] = scaled * gamma[part] + beta[part]
    return result


@pytest.mark.parametrize(
    "channels, groups", [(64, 32), (96, 32), (32, 16), (6, 3), (3, 1), (48, 24)]
)
def test_the_formula_with_default_groups(channels, groups):
    layer, inputs = built(channels)
    np.testing.assert_allclose(
        layer(inputs), expected(layer, inputs, groups), rtol=1e-9, atol=1e-12
    )


def test_groups_can_be_chosen():
    layer, inputs = built(8, groups=2)
    np.testing.assert_allclose(
        layer(inputs), expected(layer, inputs, 2), rtol=1e-9, atol=1e-12
    )


def test_gradients_are_those_of_central_differences():
    layer, inputs = built(4, 2, 2)

    def total(inputs):
        return tf.reduce_sum(tf.sin(layer(inputs)))

    theory, numeric = tf.test.compute_gradient(
        total, [tf.constant(inputs)], delta=1e-6
    )
    np.testing.assert_allclose(theory[0], numeric[0], atol=1e-7)


def test_half_precision_keeps_its_variance_in_single():
    inputs = 100.0 + np.random.default_rng(1).normal(size=(2, 8, 8, 4))
    half = EvoNormS0(dtype="mixed_bfloat16")
    whole = EvoNormS0()
    # The inputs of both are those that half precision can hold.
    inputs = tf.cast(tf.cast(inputs, "bfloat16"), "float32")
    left, right = half(inputs), whole(inputs)
    assert left.dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(left, "float32"), right, rtol=0.02)


def test_groups_must_divide_the_channels():
    with pytest.raises(UserError, match="divisible by groups=3"):
        built(8, groups=3)


def test_a_group_of_one_value_is_refused():
    with pytest.raises(UserError, match="more than one value"):
        built(4, 1, 1, groups=4)
