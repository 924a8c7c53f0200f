"""Bottlenecks of grids: enumeration, NumPy, and draws that are counted."""

import random

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from kgpm.errors import UserError
from kgpm.layers import CodePerplexity
from kgpm.layers import NoBottleneck
from kgpm.layers import QuantizedBottleneck
from kgpm.layers import SoftBottleneck
from kgpm.layers import VariationalBottleneck
from kgpm.ops import gumbel
from kgpm.ops import make_seed
from tests.layers.layer_checks import noise

GRID, ROWS, SIZE = (2, 2), 8, 6
PIXEL_CNN = {"prior": "pixel_cnn", "prior_width": 6, "prior_blocks": 1}


def grids():
    """Codes of three episodes of five images, not far from rows or codes."""
    return tf.constant(0.5 * noise(3, 5, *GRID, SIZE))


def make(kind, **options):
    random.seed(0)
    layer = kind(GRID, ROWS, SIZE, **options)
    layer.build()
    return layer


def quantized(**options):
    """With codes where a first batch would put them."""
    layer = make(QuantizedBottleneck, **options)
    vectors = np.random.default_rng(3).normal(size=(64, SIZE)) * 0.5
    layer.quantizer.encode(vectors.astype("float32"), training=True, seed=1)
    return layer


def one_address(count=5):
    """A grid of one vector, ln q of its rows, and codes `[4, 1, 1, 1, 3]`."""
    random.seed(0)
    layer = VariationalBottleneck((1, 1), count, 3)
    layer.build()
    generator = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(generator.normal(size=variable.shape))
    codes = tf.constant(generator.normal(size=(4, 1, 1, 1, 3)), "float32")
    rows = layer.soft_memory.rows.numpy().astype("float64")
    distances = np.square(codes.numpy()[:, 0, 0, 0, None] - rows).sum(-1)
    beta = float(layer.soft_memory.beta)
    return layer, codes, special.log_softmax(-beta * distances, -1)


def places(values):
    """Vectors of grids `[..., h, w, D]`, `[..., P, D]`."""
    return np.reshape(values, (*values.shape[:-3], -1, values.shape[-1]))


def test_rate_of_the_uniform_prior():
    draw = quantized().sample(grids(), None, 0)
    np.testing.assert_allclose(draw.kl["kl_a"], 4 * np.log(ROWS), rtol=1e-6)
    np.testing.assert_array_equal(draw.log_ratio, -draw.kl["kl_a"])


def test_a_learned_prior_is_the_rate_and_leaves_the_codes():
    layer, codes = quantized(**PIXEL_CNN), grids()
    with tf.GradientTape() as tape:
        tape.watch(codes)
        rate = layer.sample(codes, None, 0).kl["kl_a"]
    vectors = places(codes)
    index = layer.quantizer.encode(vectors).encoding_indices
    expected = -layer.pixel_cnn.log_prob(tf.reshape(index, (15, *GRID)))
    np.testing.assert_allclose(tf.reshape(rate, -1), expected, rtol=1e-5)
    np.testing.assert_allclose(
        layer.latent_energy(codes, None), rate, rtol=1e-6
    )
    variables = [*layer.trainable_variables, codes]
    for variable, slope in zip(
        variables, tape.gradient(rate, variables), strict=True
    ):
        of_prior = "prior" in getattr(variable, "path", "")
        assert (slope is not None) == of_prior


def test_straight_through_from_latents_to_codes():
    layer, codes = quantized(), grids()
    with tf.GradientTape() as tape:
        tape.watch(codes)
        latents = layer.sample(codes, None, 0).latents
        loss = tf.reduce_sum(latents * noise(*latents.shape))
    np.testing.assert_array_equal(
        tape.gradient(loss, codes), noise(*latents.shape)
    )
    assert np.any(latents != codes)


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_losses_of_codes_are_mean_squares(codebook):
    layer = quantized(codebook=codebook, commitment_cost=0.3)
    expected = {"commitment": 0.3}
    if codebook == "gradient":
        expected["codebook"] = 1.0
    assert layer.loss_weights == expected
    draw = layer.sample(grids(), None, 0)
    assert draw.losses.keys() == expected.keys()
    error = np.square(grids() - draw.latents).mean((-3, -2, -1))
    for loss in draw.losses.values():
        np.testing.assert_allclose(loss, error, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, PIXEL_CNN])
def test_samples_are_codes(options):
    layer = quantized(**options)
    latents = layer.sample_prior(None, 50, seed=1)
    assert latents.shape == (1, 50, *GRID, SIZE)
    drawn = np.reshape(latents, (-1, SIZE))
    codes = np.asarray(layer.quantizer.embeddings)
    gaps = np.square(drawn[:, None] - codes).sum(-1)
    assert np.all(gaps.min(-1) < 1e-10)
    counts = np.bincount(gaps.argmin(-1), minlength=ROWS)
    assert np.count_nonzero(counts) > 1
    if not options:
        # Five standard deviations of a count.
        assert np.all(np.abs(counts - 25) < 5 * np.sqrt(25))


def test_share_of_the_codes_that_are_used():
    layer = quantized()
    layer.quantizer.counts.assign([8.0, 0.2, 0.05, 0.0, 1.0, 1.0, 1.0, 4.75])
    # Of a mean of two, a tenth is 0.2.
    assert float(layer.diagnostics(grids(), None)["codes_used"]) == 0.625


@pytest.mark.parametrize("options", [{}, {"codebook": "gradient"}])
def test_absent_images_are_no_codes(options):
    """Where the codes move, as they do in training."""
    weights = np.zeros((3, 5), "float32")
    weights[:, 0] = 1.0
    states = []
    for other in (grids(), tf.concat([grids()[:, :1], 1 - grids()[:, 1:]], 1)):
        layer = make(QuantizedBottleneck, **options)
        before = layer.get_weights()
        layer.sample(other, None, 0, training=True, weights=weights)
        states.append(layer.get_weights())
    for first, second, old in zip(*states, before, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
        assert np.any(first != old)


def test_addresses_are_drawn_from_what_is_charged():
    layer, codes, log_q = one_address()
    rows = layer.soft_memory.rows.numpy()
    many = tf.repeat(codes, 2000, axis=1)
    draw = layer.sample(many, None, 1)
    latents = np.reshape(draw.latents, (4, 2000, 3))
    gaps = np.square(latents[:, :, None] - rows).sum(-1)
    # The very row, and no mixture.
    assert gaps.min(-1).max() < 1e-6
    index = gaps.argmin(-1)
    counts = np.stack([np.bincount(i, minlength=5) for i in index])
    q = np.exp(log_q)
    error = np.sqrt(2000 * q * (1 - q)) + 1.0
    assert np.all(np.abs(counts - 2000 * q) < 5 * error)
    divergence = np.log(5) + np.sum(q * log_q, axis=-1)
    np.testing.assert_allclose(
        draw.kl["kl_a"], np.tile(divergence[:, None], 2000), atol=1e-5
    )
    assert divergence.max() > 0.3
    # Of the row that was drawn: ln p(a) - ln q(a | x).
    expected = -np.log(5) - np.take_along_axis(log_q, index, axis=1)
    np.testing.assert_allclose(draw.log_ratio, expected, atol=1e-4)
    # All rows are alike likely: nothing is left for the energy.
    np.testing.assert_array_equal(
        layer.latent_energy(codes, None), np.zeros((4, 1))
    )


def test_rows_are_generated_alike_often():
    layer, _, _ = one_address()
    drawn = np.reshape(layer.sample_prior(None, 5000, seed=2), (5000, 1, 3))
    gaps = np.square(drawn - layer.soft_memory.rows.numpy()).sum(-1)
    counts = np.bincount(gaps.argmin(-1), minlength=5)
    assert gaps.min(-1).max() < 1e-10
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(1000))


def test_the_gradient_of_a_draw_is_that_of_the_relaxed_one():
    layer, codes, _ = one_address()
    layer.temperature = 0.5
    with tf.GradientTape() as tape:
        tape.watch(codes)
        drawn = layer.sample(codes, None, 3).latents
        loss = tf.reduce_sum(drawn * noise(*drawn.shape))
    gradient = tape.gradient(loss, codes)
    with tf.GradientTape() as tape:
        tape.watch(codes)
        vectors = tf.reshape(codes, (4, 1, 1, 3))
        log_w = layer.soft_memory.log_weights(vectors)
        noisy = log_w + gumbel(log_w.shape, make_seed(3))
        relaxed = tf.nn.softmax(noisy / 0.5) @ layer.soft_memory.rows
        relaxed = tf.reshape(relaxed, drawn.shape)
        loss = tf.reduce_sum(relaxed * noise(*drawn.shape))
    np.testing.assert_allclose(
        gradient, tape.gradient(loss, codes), rtol=1e-4, atol=1e-6
    )
    assert np.any(np.abs(gradient) > 1e-3)


@pytest.mark.parametrize("kind", [SoftBottleneck, VariationalBottleneck])
def test_how_rows_are_chosen(kind):
    layer, codes = make(kind), grids()[:1, :2]
    latents, soft = layer.read_rows(codes)
    rows = np.asarray(layer.soft_memory.rows)
    soft = np.asarray(soft, "float64")
    np.testing.assert_allclose(places(latents), soft @ rows, atol=1e-6)
    latents, hard = layer.read_rows(codes, "hard")
    np.testing.assert_array_equal(hard, np.eye(ROWS)[soft.argmax(-1)])
    likeliest = rows[soft.argmax(-1)]
    np.testing.assert_allclose(places(latents), likeliest, atol=1e-6)
    # Retrieval is soft, or the likeliest where a row is drawn.
    draws = kind is VariationalBottleneck
    expected = likeliest if draws else soft @ rows
    np.testing.assert_allclose(
        places(layer.read(codes, None)), expected, atol=1e-6
    )
    many = tf.repeat(codes, 2000, axis=1)
    _, drawn = layer.read_rows(many, "sampled", 4)
    counts = np.reshape(drawn, (1, 2, 2000, 4, ROWS)).sum(2)
    error = np.sqrt(2000 * soft * (1 - soft)) + 1.0
    assert np.all(np.abs(counts - 2000 * soft) < 5 * error)
    with pytest.raises(UserError, match="soft, hard, sampled, received 'mean'"):
        layer.read_rows(codes, "mean")


def test_entropy_and_use_of_the_rows():
    draw = make(SoftBottleneck).sample(grids(), None, 0)
    layer = make(SoftBottleneck)
    vectors = places(grids()).astype("float64")
    rows = np.asarray(layer.soft_memory.rows, "float64")
    distances = np.square(vectors[..., None, :] - rows).sum(-1)
    weights = special.softmax(-distances, axis=-1)
    entropy = special.entr(weights).sum((-2, -1))
    figures = draw.figures
    np.testing.assert_allclose(figures["address_entropy"], entropy, rtol=1e-4)
    np.testing.assert_allclose(figures["usage"], weights.mean(-2), rtol=1e-3)
    np.testing.assert_allclose(figures["beta"], np.ones((3, 5)), rtol=1e-6)
    assert not draw.kl and not np.any(draw.log_ratio)


def test_use_of_the_codes():
    layer = quantized()
    usage = layer.sample(grids(), None, 0).figures["usage"]
    codes = np.asarray(layer.quantizer.embeddings)
    vectors = places(grids())
    nearest = np.square(vectors[..., None, :] - codes).sum(-1).argmin(-1)
    np.testing.assert_allclose(usage, np.eye(ROWS)[nearest].mean(-2))


def test_perplexity_is_of_all_batches_together():
    metric = CodePerplexity(3)
    first = np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    for part, weight in ((first[:1], 1.0), (first[1:], 1.0), (first[1:], 0.0)):
        metric.update_state(part, np.full((1, 1), weight, "float32"))
    # Each batch alone has a perplexity of 1.
    assert float(metric.result()) == pytest.approx(2.0)
    metric.reset_state()
    assert float(metric.result()) == pytest.approx(1.0)


def test_without_a_bottleneck_grids_pass():
    layer = NoBottleneck()
    draw = layer.sample(grids(), None, 0)
    np.testing.assert_array_equal(draw.latents, grids())
    np.testing.assert_array_equal(layer.read(grids()), grids())
    assert not draw.kl and layer.write(grids()) is None


def test_what_is_no_bound_says_so():
    for layer in (
        NoBottleneck(),
        make(SoftBottleneck),
        make(VariationalBottleneck),
        make(QuantizedBottleneck),
    ):
        charged = "kl_a" in layer.term_names
        assert bool(layer.why_no_bound) == (not charged)


@pytest.mark.parametrize(
    "kind", [SoftBottleneck, VariationalBottleneck, QuantizedBottleneck]
)
def test_grids_of_another_size_are_refused(kind):
    """A prior would charge for places that are not there, or for too few."""
    layer = make(kind)
    for shape in ((3, 2), (4, 4), (1, 4)):
        codes = noise(1, 2, *shape, SIZE)
        for method in (layer.latents_of, lambda c: layer.sample(c, None, 0)):
            words = f"grids of 2 x 2 .*received {shape[0]} x {shape[1]}"
            with pytest.raises(UserError, match=words):
                method(codes)
    assert NoBottleneck().read(codes).shape == codes.shape


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SoftBottleneck, {"memory_size": 0}, "memory_size"),
        (SoftBottleneck, {"similarity": "dot"}, "l2, cosine, reference"),
        (VariationalBottleneck, {"temperature": 0.0}, "temperature > 0"),
        (QuantizedBottleneck, {"num_embeddings": 0}, "num_embeddings"),
        (QuantizedBottleneck, {"codebook": "kmeans"}, "ema, gradient"),
        (QuantizedBottleneck, {"prior": "normal"}, "uniform, pixel_cnn"),
        # Options without effect.
        (
            QuantizedBottleneck,
            {"prior_width": 6},
            "prior_width with prior='pixel_cnn' only",
        ),
        (
            QuantizedBottleneck,
            {"prior_blocks": 1},
            "prior_blocks with prior='pixel_cnn' only",
        ),
    ],
)
def test_arguments_that_are_refused(kind, options, message):
    with pytest.raises(UserError, match=message):
        kind(GRID, **options)
