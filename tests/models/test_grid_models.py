"""VQ-VAE, its soft relatives, and the autoencoder without either."""

import random

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from kgpm import ops
from kgpm.errors import UserError
from kgpm.evaluation import energy
from kgpm.evaluation.evaluation import evaluate
from kgpm.likelihoods import FixedGaussian
from kgpm.models import VQVAE
from kgpm.models import CodePerplexity
from kgpm.models import GridAutoencoder
from kgpm.models import MemoryVAE
from kgpm.models import VariationalMemoryVAE

from .conftest import CODES
from .conftest import GRID
from .conftest import batches
from .conftest import compiled
from .conftest import make
from .conftest import untouched

GRID_MODELS = (
    "grid_autoencoder",
    "memory_vae",
    "variational_memory_vae",
    "vq_vae",
)
# A grid of one vector, so that its addresses can be enumerated.
ONE = {"image_shape": (4, 4, 1), "memory_size": 5, "embedding_dim": 3}


def one_address(scale=1.0):
    random.seed(0)
    model = VariationalMemoryVAE(**ONE, width=4, likelihood="bernoulli")
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        value = generator.normal(size=variable.shape, scale=scale)
        variable.assign(value)
    images = (generator.random((4, 1, 4, 4, 1)) > 0.5).astype("float32")
    return model, images


def enumerated(model, images):
    """ln q(a | x) and ln p(x | a) of every address, `[4, 1, K]`."""
    codes = model.encode(images)
    log_q = model.memory.log_weights(codes[..., None, :])[..., 0, :]
    rows = np.asarray(model.memory.rows)
    log_p = [
        model.likelihood.log_prob(
            images, model.decode(np.broadcast_to(row, codes.shape))
        )
        for row in rows
    ]
    return np.asarray(log_q, "float64"), np.stack(log_p, -1).astype("float64")


def test_published_sizes():
    """As counted by hand, with the scalar beta; shared blocks as published."""
    assert MemoryVAE().count_params() == 694_851 + 1
    shared = MemoryVAE(share_blocks=True, similarity="reference")
    assert shared.count_params() == 612_931
    assert VQVAE().encode(np.zeros((1, 32, 32, 3))).shape == (1, 8 * 8 * 64)


def test_loss_is_the_published_one_in_nats():
    """nll falls as D / 2 times NMSE, and the commitment has that factor."""
    images = np.random.default_rng(0).random((6, 8, 8, 1)).astype("float32")
    by_default = {n: v for n, v in CODES.items() if n != "likelihood"}
    model = VQVAE(**by_default, commitment_cost=0.3)
    assert isinstance(model.likelihood, FixedGaussian)
    assert model.likelihood.variance == GRID["data_variance"]
    assert model.auxiliary_weights == {"commitment": 0.3 * 64 / 2}
    images = np.round(images * 255).astype("float32") / 255
    levels = images
    terms = model.bound_terms(levels.astype("float32"))
    error = np.square(levels - model.read(levels)).mean((1, 2, 3))
    np.testing.assert_allclose(
        terms["nmse"], error / GRID["data_variance"], rtol=1e-4
    )
    # Dequantised pixels are 255 / 256 as far apart.
    slope = model.nats_per_nmse * (255 / 256) ** 2
    nll = model.query_terms(levels, seed=None)["nll"]
    exact = -model.likelihood.log_prob(
        levels, model.decode(model.mean_latents(model.encode(levels), None))
    )
    np.testing.assert_allclose(nll, exact, rtol=0.02)
    np.testing.assert_allclose(
        np.diff(exact), slope * np.diff(terms["nmse"]), rtol=1e-3
    )
    gradient = VQVAE(**CODES, codebook="gradient")
    assert gradient.auxiliary_weights == {"commitment": 8.0, "codebook": 32.0}


def test_straight_through_from_decoder_to_encoder(images):
    """The encoder's gradient is that at the decoder's input."""
    model = make("vq_vae")
    codes = tf.convert_to_tensor(model.encode(images))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(codes)
        latents = model.sample_latents(codes, None, 0).latents
        tape.watch(latents)
        nll = -model.likelihood.log_prob(images, model.decode(latents))
    np.testing.assert_allclose(
        tape.gradient(nll, codes), tape.gradient(nll, latents), atol=1e-6
    )
    assert np.any(latents != codes)


def test_rate_of_the_uniform_prior(images):
    terms = untouched("vq_vae").bound_terms(images)
    np.testing.assert_allclose(terms["kl_a"], 4 * np.log(8), rtol=1e-6)


def test_a_learned_prior_is_the_rate_and_leaves_the_codes(images):
    model = untouched("vq_vae_pixel_cnn")
    with tf.GradientTape() as tape:
        terms = model.training_terms(images, np.ones((3, 5), "float32"), 0)
        rate = tf.reduce_sum(terms["kl_a"])
    vectors = tf.reshape(model.encode(images), (15, 4, 6))
    model = untouched("vq_vae_pixel_cnn")
    index = model.quantizer.encode(vectors).encoding_indices
    expected = -model.prior.log_prob(tf.reshape(index, (15, 2, 2)))
    np.testing.assert_allclose(
        tf.reshape(model.bound_terms(images)["kl_a"], -1), expected, rtol=1e-5
    )
    variables = model.trainable_variables
    for variable, slope in zip(
        variables, tape.gradient(rate, variables), strict=True
    ):
        assert (slope is not None) == ("prior" in variable.path)


def test_a_learned_prior_learns(images):
    """All images alike: their codes come to cost next to nothing."""
    same = np.repeat(images[:1, :1], 8, axis=0)
    model = compiled(make("vq_vae_pixel_cnn"))
    history = model.fit(same, epochs=60, verbose=0).history["kl_a"]
    assert history[0] > 7.0
    assert history[-1] < 1.0


@pytest.mark.parametrize("name", ["vq_vae", "vq_vae_pixel_cnn"])
def test_samples_decode_codes(name):
    model = untouched(name)
    latents = model.sample_prior_latents(None, 50, seed=1)
    drawn = np.reshape(latents, (-1, 6))
    codes = np.asarray(model.quantizer.embeddings)
    gaps = np.square(drawn[:, None] - codes).sum(-1)
    assert np.all(gaps.min(-1) < 1e-10)
    assert len(np.unique(gaps.argmin(-1))) > 1


def test_addresses_are_drawn_from_what_is_charged():
    model, images = one_address()
    log_q, _ = enumerated(model, images)
    codes = model.encode(images)
    rows = np.asarray(model.memory.rows)
    draw = tf.function(lambda s: model.sample_latents(codes, None, s))
    counts = np.zeros((4, 5))
    for seed in range(2000):
        latents = np.asarray(draw(tf.constant([seed, 1])).latents)[:, 0]
        gaps = np.square(latents[:, None] - rows).sum(-1)
        # The very row, and no mixture.
        assert gaps.min(-1).max() < 1e-6
        counts[np.arange(4), gaps.argmin(-1)] += 1
    q = np.exp(log_q[:, 0])
    error = np.sqrt(2000 * q * (1 - q)) + 1.0
    assert np.all(np.abs(counts - 2000 * q) < 5 * error)
    terms = model.bound_terms(images, seed=0)
    divergence = np.log(5) + np.sum(q * log_q[:, 0], axis=-1)
    np.testing.assert_allclose(terms["kl_a"][:, 0], divergence, atol=1e-5)
    assert divergence.max() > 0.3


def test_how_rows_are_chosen(images):
    model = untouched("memory_vae")
    codes = model.encode(images[:1, :2])
    soft = np.asarray(model.read_rows(codes)[1], "float64")
    latents, hard = model.read_rows(codes, "hard")
    np.testing.assert_array_equal(hard, np.eye(8)[soft.argmax(-1)])
    rows = np.asarray(model.memory.rows)[soft.argmax(-1)]
    np.testing.assert_allclose(np.reshape(latents, rows.shape), rows, atol=1e-6)
    read = tf.function(lambda s: model.read_rows(codes, "sampled", s)[1])
    counts = sum(read(tf.constant([s, 0])).numpy() for s in range(2000))
    error = np.sqrt(2000 * soft * (1 - soft)) + 1.0
    assert np.all(np.abs(counts - 2000 * soft) < 5 * error)
    with pytest.raises(UserError, match="soft, hard, sampled, received 'mean'"):
        model.read_rows(codes, "mean")


def test_energy_is_of_the_likeliest_rows():
    """All addresses are alike likely: what is left is the pixels'."""
    model, images = one_address()
    log_q, log_p = enumerated(model, images)
    best = log_q.argmax(-1)[..., None]
    expected = -np.take_along_axis(log_p, best, -1)[..., 0]
    np.testing.assert_allclose(energy(model, images), expected, rtol=1e-4)


def test_absent_images_are_no_codes(images):
    """Also where the terms are computed in training mode."""
    weights = np.zeros((3, 5), "float32")
    weights[:, 0] = 1.0
    states = []
    padded = np.concatenate([images[:, :1], 1.0 - images[:, 1:]], axis=1)
    for other in (images, padded):
        model = make("vq_vae")
        model.bound_terms(other, weights, seed=0, training=True)
        states.append(model.quantizer.get_weights())
    for first, second in zip(*states, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_what_draws_nothing_has_no_weighted_bound(images):
    for name in ("memory_vae", "vq_vae"):
        result = evaluate(
            untouched(name), batches(images), num_importance_samples=3
        )
        figure = result["figures"]["A"]
        assert result["num_importance_samples"] == 0
        assert "nelbo_iw" not in figure
        assert ("bits_per_dim" in figure) == (name == "vq_vae")


def test_the_variational_bound_is_one():
    """By enumeration: its mean, and the likelihood that it bounds."""
    model, images = one_address(0.35)
    log_q, log_p = enumerated(model, images)
    expected = -np.sum(np.exp(log_q) * log_p, axis=-1)
    score = tf.function(lambda s: model.bound_terms(images, seed=s)["nll"])
    draws = np.array([score(tf.constant([s, 0])) for s in range(1500)])
    error = draws.std(0) / np.sqrt(1500) + 1e-3
    assert np.all(np.abs(draws.mean(0) - expected) < 5 * error)
    truth = np.logaddexp.reduce(log_p, axis=-1) - np.log(5)
    weigh = tf.function(model.log_likelihood)
    weighted = weigh(images, None, 4000, seed=1)
    np.testing.assert_allclose(weighted, truth, atol=0.1)
    divergence = np.log(5) + np.sum(np.exp(log_q) * log_q, axis=-1)
    assert np.all(expected + divergence >= -truth)


def test_entropy_and_use_of_the_rows(images):
    model = untouched("memory_vae")
    terms = model.bound_terms(images)
    vectors = np.reshape(model.encode(images), (3, 5, 4, 6)).astype("float64")
    rows = np.asarray(model.memory.rows, "float64")
    distances = np.square(vectors[..., None, :] - rows).sum(-1)
    weights = special.softmax(-distances, axis=-1)
    entropy = special.entr(weights).sum((-2, -1))
    np.testing.assert_allclose(terms["address_entropy"], entropy, rtol=1e-4)
    np.testing.assert_allclose(terms["usage"], weights.mean(-2), rtol=1e-3)
    np.testing.assert_allclose(terms["beta"], 1.0, rtol=1e-6)


def test_what_is_no_bound_says_so():
    for name in GRID_MODELS:
        model = untouched(name)
        charged = "kl_a" in model.term_names
        assert bool(model.why_no_bound) == (not charged)


def test_perplexity_is_of_all_batches_together():
    metric = CodePerplexity(3)
    first = np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    for part, weight in ((first[:1], 1.0), (first[1:], 1.0), (first[1:], 0.0)):
        metric.update_state(part, np.full((1, 1), weight, "float32"))
    # Each batch alone has a perplexity of 1.
    assert float(metric.result()) == pytest.approx(2.0)
    metric.reset_state()
    assert float(metric.result()) == pytest.approx(1.0)


def test_evaluation_counts_codes_over_the_whole_split(images):
    model = untouched("vq_vae")
    weights = np.ones((3, 5), "float32")
    weights[2, 3:] = 0.0
    result = evaluate(model, batches(images, weights))["figures"]["A"]
    terms = model.bound_terms(images)
    usage = np.asarray(terms["usage"])[weights > 0].mean(0)
    expected = np.exp(special.entr(usage).sum())
    assert result["perplexity"]["mean"] == pytest.approx(expected, rel=1e-5)
    nmse = np.asarray(terms["nmse"])[weights > 0].mean()
    assert result["nmse"]["mean"] == pytest.approx(nmse, rel=1e-5)
    assert "usage" not in result


def test_evaluation_of_plain_images(images):
    model = untouched("vq_vae")
    plain = images[:, 0]
    dataset = tf.data.Dataset.from_tensor_slices(plain).batch(2)
    result = evaluate(model, dataset)
    assert (result["num_images"], result["episode_length"]) == (3, 1)
    expected = np.mean(ops.nelbo(model.bound_terms(plain)))
    nelbo = result["figures"]["A"]["nelbo"]["mean"]
    assert nelbo == pytest.approx(expected, rel=1e-5)


def test_without_a_bottleneck_it_is_encoder_and_decoder(images):
    model = untouched("grid_autoencoder")
    vectors = model.encoder(images)
    expected = model.likelihood.mean(model.decoder(vectors))
    np.testing.assert_allclose(model.read(images), expected, atol=1e-6)


def test_sides_that_are_no_multiples_of_four():
    with pytest.raises(UserError, match="multiples of 4, received 8 x 10"):
        GridAutoencoder(image_shape=(8, 10, 1))


def test_likeliest_row_is_the_variational_read(images):
    model = untouched("variational_memory_vae")
    vectors = np.reshape(model.encode(images), (-1, 6))
    rows = np.asarray(model.memory.rows)
    nearest = np.square(vectors[:, None] - rows).sum(-1).argmin(-1)
    read = model.mean_latents(model.encode(images), None)
    latents = np.reshape(read, (-1, 6))
    np.testing.assert_allclose(latents, rows[nearest], atol=1e-6)
