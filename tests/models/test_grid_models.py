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
from kgpm.evaluation.importance_weights import importance_weighted_bounds
from kgpm.layers import CodePerplexity
from kgpm.layers import GridDecoder
from kgpm.layers import GridEncoder
from kgpm.layers import QuantizedBottleneck
from kgpm.layers import SoftBottleneck
from kgpm.likelihoods import FixedGaussian
from kgpm.models import VQVAE
from kgpm.models import GridAutoencoder
from kgpm.models import MemoryVAE
from kgpm.models import VariationalMemoryVAE

from .conftest import SHAPE
from .conftest import batches
from .conftest import compiled
from .conftest import make
from .conftest import models_that
from .conftest import untouched
from .conftest import vq_vae

# A grid of one vector, so that its addresses can be enumerated.
ONE = {"image_shape": (4, 4, 1), "memory_size": 5, "embedding_dim": 3}


def with_pixel_cnn():
    random.seed(1)
    return vq_vae(
        codebook="gradient", prior="pixel_cnn", prior_width=6, prior_blocks=1
    )


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
    assert codes.shape == (4, 1, 1, 1, 3)
    soft_memory = model.memory.soft_memory
    log_q = soft_memory.log_weights(codes[:, :, 0])[..., 0, :]
    log_p = [
        model.likelihood.log_prob(
            images, model.decode(np.broadcast_to(row, codes.shape))
        )
        for row in np.asarray(soft_memory.rows)
    ]
    return np.asarray(log_q, "float64"), np.stack(log_p, -1).astype("float64")


def test_published_sizes():
    """As counted by hand, with the scalar beta; shared blocks as published."""
    assert MemoryVAE().count_params() == 694_851 + 1
    sizes = ((64, 128), 32, 2, True)
    shared = MemoryVAE(
        encoder=GridEncoder((32, 32, 3), 64, *sizes),
        memory=SoftBottleneck((8, 8), similarity="reference"),
        decoder=GridDecoder((32, 32, 3), 64, 3, *sizes),
    )
    assert shared.count_params() == 612_931
    assert VQVAE().encode(np.zeros((1, 32, 32, 3))).shape == (1, 8, 8, 64)


def test_loss_is_the_published_one_in_nats():
    """nll falls as D / 2 times NMSE, and the commitment has that factor."""
    images = np.random.default_rng(0).random((6, 8, 8, 1)).astype("float32")
    model = VQVAE(
        SHAPE,
        likelihood=FixedGaussian(0.24),
        width=[4, 6],
        embedding_dim=6,
        memory=QuantizedBottleneck((2, 2), 8, 6, commitment_cost=0.3),
    )
    assert model.auxiliary_weights == {"commitment": 0.3 * 64 / 2}
    levels = (np.round(images * 255) / 255).astype("float32")
    terms = model.bound_terms(levels)
    error = np.square(levels - model.read(levels)).mean((1, 2, 3))
    np.testing.assert_allclose(terms["nmse"], error / 0.24, rtol=1e-4)
    # Half the numbers of an image; dequantised pixels are 255 / 256 as far
    # apart.
    slope = 64 / 2 * (255 / 256) ** 2
    nll = model.query_terms(levels, seed=None)["nll"]
    exact = -model.likelihood.log_prob(
        levels, model.decode(model.mean_latents(model.encode(levels), None))
    )
    np.testing.assert_allclose(nll, exact, rtol=0.02)
    np.testing.assert_allclose(
        np.diff(exact), slope * np.diff(terms["nmse"]), rtol=1e-3
    )
    gradient = vq_vae(codebook="gradient")
    assert gradient.auxiliary_weights == {"commitment": 8.0, "codebook": 32.0}


def test_the_variance_of_the_data_is_that_of_the_likelihood():
    """By default of CIFAR-10; a figure of it alone is the error over it."""
    assert VQVAE().likelihood.get_config() == {"variance": 0.0633}
    assert "nmse" not in untouched("vq_vae").figure_metrics()


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
    model = with_pixel_cnn()
    state = model.get_weights()
    with tf.GradientTape() as tape:
        terms = model.training_terms(images, np.ones((3, 5), "float32"), 0)
        rate = tf.reduce_sum(terms["kl_a"])
    # Which training moved.
    model.set_weights(state)
    vectors = tf.reshape(model.encode(images), (15, 4, 6))
    index = model.memory.quantizer.encode(vectors).encoding_indices
    expected = -model.memory.pixel_cnn.log_prob(tf.reshape(index, (15, 2, 2)))
    np.testing.assert_allclose(
        tf.reshape(model.bound_terms(images)["kl_a"], -1), expected, rtol=1e-5
    )
    variables = model.trainable_variables
    for variable, slope in zip(
        variables, tape.gradient(rate, variables), strict=True
    ):
        assert (slope is not None) == ("prior" in variable.path)


@pytest.mark.slow
def test_a_learned_prior_learns(images):
    """All images alike: their codes come to cost next to nothing."""
    same = np.repeat(images[:1, :1], 8, axis=0)
    model = compiled(with_pixel_cnn())
    history = model.fit(same, epochs=70, verbose=0).history["kl_a"]
    assert history[0] > 7.0
    assert history[-1] < 1.0


@pytest.mark.parametrize("make_model", [vq_vae, with_pixel_cnn])
def test_samples_decode_codes(make_model):
    model = make_model()
    latents = model.memory.sample_prior(None, 50, seed=1)
    assert latents.shape == (1, 50, 2, 2, 6)
    drawn = np.reshape(latents, (-1, 6))
    codes = np.asarray(model.memory.quantizer.embeddings)
    gaps = np.square(drawn[:, None] - codes).sum(-1)
    assert np.all(gaps.min(-1) < 1e-10)
    assert len(np.unique(gaps.argmin(-1))) > 1


@pytest.mark.slow
def test_addresses_are_drawn_from_what_is_charged():
    model, images = one_address()
    log_q, _ = enumerated(model, images)
    codes = model.encode(images)
    rows = np.asarray(model.memory.soft_memory.rows)
    draw = tf.function(lambda s: model.sample_latents(codes, None, s).latents)
    counts = np.zeros((4, 5))
    for seed in range(2000):
        latents = np.reshape(draw(tf.constant([seed, 1])), (4, 3))
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
    codes, read_rows = model.encode(images[:1, :2]), model.memory.read_rows
    soft = np.asarray(read_rows(codes)[1], "float64")
    latents, hard = read_rows(codes, "hard")
    np.testing.assert_array_equal(hard, np.eye(8)[soft.argmax(-1)])
    rows = np.asarray(model.memory.soft_memory.rows)[soft.argmax(-1)]
    np.testing.assert_allclose(np.reshape(latents, rows.shape), rows, atol=1e-6)
    read = tf.function(lambda s: read_rows(codes, "sampled", s)[1])
    counts = sum(read(tf.constant([s, 0])).numpy() for s in range(2000))
    error = np.sqrt(2000 * soft * (1 - soft)) + 1.0
    assert np.all(np.abs(counts - 2000 * soft) < 5 * error)
    with pytest.raises(UserError, match="soft, hard, sampled, received 'mean'"):
        read_rows(codes, "mean")


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
        states.append(model.memory.quantizer.get_weights())
    for first, second in zip(*states, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.slow
def test_what_draws_nothing_has_no_weighted_bound(images):
    for name in ("memory_vae", "vq_vae"):
        result = evaluate(
            untouched(name), batches(images), num_importance_samples=3
        )
        figure = result["figures"]["A"]
        assert result["num_importance_samples"] == 0
        assert "nelbo_iw" not in figure
        assert ("bits_per_dim" in figure) == (name == "vq_vae")


@pytest.mark.slow
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
    weigh = tf.function(
        lambda: importance_weighted_bounds(model, images, None, 4000, seed=1)
    )
    np.testing.assert_allclose(-weigh()["nelbo_iw"], truth, atol=0.1)
    divergence = np.log(5) + np.sum(np.exp(log_q) * log_q, axis=-1)
    assert np.all(expected + divergence >= -truth)


def test_entropy_and_use_of_the_rows(images):
    model = untouched("memory_vae")
    terms = model.bound_terms(images)
    vectors = np.reshape(model.encode(images), (3, 5, 4, 6)).astype("float64")
    rows = np.asarray(model.memory.soft_memory.rows, "float64")
    distances = np.square(vectors[..., None, :] - rows).sum(-1)
    weights = special.softmax(-distances, axis=-1)
    entropy = special.entr(weights).sum((-2, -1))
    np.testing.assert_allclose(terms["address_entropy"], entropy, rtol=1e-4)
    np.testing.assert_allclose(terms["usage"], weights.mean(-2), rtol=1e-3)
    np.testing.assert_allclose(terms["beta"], 1.0, rtol=1e-6)


@models_that(lambda model: not model.memory.stores)
def test_what_is_no_bound_says_so(model):
    charged = len(model.term_names) > 1
    assert bool(model.memory.why_no_bound) == (not charged)


def test_perplexity_is_of_all_batches_together():
    metric = CodePerplexity(3)
    first = np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    for part, weight in ((first[:1], 1.0), (first[1:], 1.0), (first[1:], 0.0)):
        metric.update_state(part, np.full((1, 1), weight, "float32"))
    # Each batch alone has a perplexity of 1.
    assert float(metric.result()) == pytest.approx(2.0)
    metric.reset_state()
    assert float(metric.result()) == pytest.approx(1.0)


@pytest.mark.slow
def test_evaluation_counts_codes_over_the_whole_split(images):
    model = vq_vae()
    weights = np.ones((3, 5), "float32")
    weights[2, 3:] = 0.0
    result = evaluate(model, batches(images, weights))["figures"]["A"]
    terms = model.bound_terms(images)
    usage = np.asarray(terms["usage"])[weights > 0].mean(0)
    expected = np.exp(special.entr(usage).sum())
    assert result["perplexity"]["mean"] == pytest.approx(expected, rel=1e-5)
    assert "usage" not in result
    model.likelihood = FixedGaussian(0.24)
    result = evaluate(model, batches(images, weights))["figures"]["A"]
    nmse = np.asarray(model.bound_terms(images)["nmse"])[weights > 0].mean()
    assert result["nmse"]["mean"] == pytest.approx(nmse, rel=1e-5)


@pytest.mark.slow
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
    rows = np.asarray(model.memory.soft_memory.rows)
    nearest = np.square(vectors[:, None] - rows).sum(-1).argmin(-1)
    read = model.mean_latents(model.encode(images), None)
    latents = np.reshape(read, (-1, 6))
    np.testing.assert_allclose(latents, rows[nearest], atol=1e-6)
