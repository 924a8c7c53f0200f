"""The Dynamic Kanerva Machine's memory against NumPy and Monte Carlo."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kgpm import ops
from kgpm.errors import UserError
from kgpm.layers import DynamicKanervaMemory

tfd = tfp.distributions
ROWS, SIZE = 3, 5


def make(**options):
    options = {"observation_noise": 0.7, "address_noise": 1.5, **options}
    layer = DynamicKanervaMemory(ROWS, SIZE, dtype="float64", **options)
    layer.build()
    rng = np.random.default_rng(1)
    layer.memory_mean.assign(rng.normal(size=(ROWS, SIZE)))
    layer.memory_log_variance.assign(-0.4)
    layer.address_log_variance.assign([-1.2])
    return layer


def codes(episodes=2, count=4, seed=2):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(episodes, count, SIZE)))


def ridge(code, mean, ridge):
    gram = mean @ mean.T + ridge * np.eye(len(mean))
    return code @ mean.T @ np.linalg.inv(gram)


def test_prior_is_its_parameters():
    prior = make().prior(2)
    layer = make()
    np.testing.assert_allclose(prior["mean"][1], layer.memory_mean)
    np.testing.assert_allclose(
        prior["covariance"][1], np.exp(-0.4) * np.eye(ROWS)
    )


def test_address_solves_the_ridge_equations():
    """(R R^T + lambda I) w = R z with lambda = s^2 / s_w0^2."""
    layer = make()
    memory = layer.write(codes())
    address = layer.address(codes(seed=3), memory).numpy()
    mean = memory["mean"].numpy()
    for i in range(2):
        gram = mean[i] @ mean[i].T + (0.7 / 1.5) ** 2 * np.eye(ROWS)
        right = mean[i] @ codes(seed=3)[i].numpy().T
        np.testing.assert_allclose(gram @ address[i].T, right, atol=1e-10)


def test_address_maximises_the_surrogate():
    """-ln N(z; w M, s^2) - ln N(w; 0, s_w0^2) rises in every direction."""
    layer = make()
    memory = layer.write(codes())
    mean = memory["mean"].numpy()[0]
    code = codes(seed=3)[0, 0].numpy()
    best = layer.address(codes(seed=3), memory).numpy()[0, 0]

    def energy(address):
        error = code - address @ mean
        return error @ error / 0.7**2 + address @ address / 1.5**2

    for direction in np.random.default_rng(4).normal(size=(20, ROWS)):
        assert energy(best + 1e-3 * direction) > energy(best)


def test_one_write_is_one_update():
    """T = 1, by hand; and its divergence is the update's own."""
    layer = make()
    written = codes(1, 1)
    memory = layer.write(written)
    prior_mean = layer.memory_mean.numpy()
    code, u0 = written.numpy()[0, 0], np.exp(-0.4)
    address = ridge(code, prior_mean, (0.7 / 1.5) ** 2)
    error = code - address @ prior_mean
    v = u0 * address @ address + 0.7**2
    np.testing.assert_allclose(
        memory["mean"][0],
        prior_mean + np.outer(u0 * address, error) / v,
        rtol=1e-10,
    )
    # ln|U0| - ln|U| = -ln(1 - beta), tr(U0^-1 U) - K = -beta.
    beta = u0 * address @ address / v
    expected = 0.5 * SIZE * (-beta - np.log1p(-beta))
    expected += 0.5 * error @ error * u0 * address @ address / v**2
    # The jitter of the covariance is a millionth of its scale.
    np.testing.assert_allclose(layer.kl(memory)[0], expected, rtol=1e-4)


def test_divergence_is_that_of_the_flattened_gaussian():
    layer = make()
    memory = layer.write(codes())

    def flattened(nest, i):
        covariance = np.kron(nest["covariance"][i], np.eye(SIZE))
        return tfd.MultivariateNormalTriL(
            np.ravel(nest["mean"][i]), np.linalg.cholesky(covariance)
        )

    prior = layer.prior(2)
    for i in range(2):
        expected = tfd.kl_divergence(flattened(memory, i), flattened(prior, i))
        np.testing.assert_allclose(layer.kl(memory)[i], expected, rtol=1e-10)


def test_draws_of_the_memory_have_the_charged_moments():
    layer = make()
    memory = layer.write(codes(1))
    count = 20_000
    many = {name: tf.repeat(v, count, axis=0) for name, v in memory.items()}
    draws = layer.draw(many, ops.make_seed(1))["mean"].numpy()
    covariance = memory["covariance"][0].numpy()
    deviation = draws - memory["mean"][0].numpy()
    for column in range(SIZE):
        measured = np.cov(deviation[:, :, column].T)
        diagonal = np.diag(covariance)
        scale = np.sqrt((covariance**2 + np.outer(diagonal, diagonal)) / count)
        assert np.max(np.abs(measured - covariance) / scale) < 5.0
    across = np.mean(deviation[:, 0, 0] * deviation[:, 0, 1])
    assert abs(across) < 5.0 * covariance[0, 0] / np.sqrt(count)


def test_draw_is_an_address_times_the_drawn_memory():
    """The charge is for w, around the ridge address in the drawn memory."""
    layer = make()
    memory = layer.write(codes())
    queries = codes(count=6, seed=3)
    draw = layer.sample(queries, memory, seed=5)
    memory_seed, _ = ops.split_seed(ops.make_seed(5), 2)
    drawn = layer.draw(memory, memory_seed)["mean"].numpy()
    scale = np.exp(0.5 * -1.2) * 1.5
    for i in range(2):
        address = draw.latents[i].numpy() @ np.linalg.pinv(drawn[i])
        mean = ridge(queries[i].numpy(), drawn[i], (0.7 / 1.5) ** 2)
        q = tfd.MultivariateNormalDiag(mean, np.full(ROWS, scale))
        p = tfd.MultivariateNormalDiag(np.zeros(ROWS), np.full(ROWS, 1.5))
        np.testing.assert_allclose(
            draw.kl["kl_w"][i], tfd.kl_divergence(q, p), rtol=1e-8
        )
        np.testing.assert_allclose(
            draw.log_ratio[i], p.log_prob(address) - q.log_prob(address)
        )


def test_address_noise_has_the_charged_scale():
    layer = make()
    memory = layer.write(codes(1))
    count = 20_000
    queries = tf.repeat(codes(1, 1, seed=3), count, axis=1)
    memory_seed, _ = ops.split_seed(ops.make_seed(6), 2)
    drawn = layer.draw(memory, memory_seed)["mean"].numpy()[0]
    latents = layer.sample(queries, memory, seed=6).latents.numpy()[0]
    addresses = latents @ np.linalg.pinv(drawn)
    scale = np.exp(0.5 * -1.2) * 1.5
    error = np.abs(addresses.std(axis=0) / scale - 1.0)
    assert np.all(error < 4.5 / np.sqrt(2 * count))


def test_the_variance_of_an_address_is_clipped():
    layer = make()
    memory = layer.write(codes())
    for value, expected in ((-1000.0, -10.0), (1000.0, 4.0)):
        layer.address_log_variance.assign([value])
        extreme = layer.sample(codes(), memory, seed=1)
        layer.address_log_variance.assign([expected])
        for one, other in zip(
            tf.nest.flatten(extreme),
            tf.nest.flatten(layer.sample(codes(), memory, seed=1)),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def test_an_address_starts_at_three_tenths_of_its_prior():
    layer = DynamicKanervaMemory(ROWS, SIZE, address_noise=1.5)
    layer.build()
    np.testing.assert_allclose(np.exp(layer.address_log_variance), [0.09])


def test_mean_read_and_energy():
    layer = make()
    memory = layer.write(codes())
    queries = codes(seed=3)
    mean = memory["mean"].numpy()
    for i in range(2):
        address = ridge(queries[i].numpy(), mean[i], (0.7 / 1.5) ** 2)
        np.testing.assert_allclose(
            layer.read(queries, memory)[i], address @ mean[i], rtol=1e-8
        )
        np.testing.assert_allclose(
            layer.latent_energy(queries, memory)[i],
            0.5 * (address**2).sum(-1) / 1.5**2,
            rtol=1e-8,
        )


def test_a_drawn_memory_is_a_point():
    """Drawn from again it stays; the mean read is the ridge read in it."""
    layer = make()
    drawn = layer.draw(layer.write(codes()), ops.make_seed(3))
    assert set(drawn) == {"mean"}
    again = layer.draw(drawn, ops.make_seed(4))
    np.testing.assert_array_equal(again["mean"], drawn["mean"])
    first = layer.sample(codes(), drawn, seed=1).kl["kl_w"]
    other = layer.sample(codes(), drawn, seed=2).kl["kl_w"]
    np.testing.assert_array_equal(first, other)


def test_prior_draws_have_the_priors_scale():
    layer = make()
    memory = layer.write(codes(1))
    latents = layer.sample_prior(memory, 40_000, seed=7).numpy()[0]
    address = latents @ np.linalg.pinv(memory["mean"][0].numpy())
    error = np.abs(address.std(axis=0) / 1.5 - 1.0)
    assert np.all(error < 4.5 / np.sqrt(80_000))


def test_a_frozen_prior_is_not_trained_and_a_learned_noise_is():
    assert len(make().trainable_variables) == 3
    frozen = make(learn_prior=False)
    assert [v.name for v in frozen.trainable_variables] == [
        "address_log_variance"
    ]
    learned = make(learn_observation_noise=True)
    np.testing.assert_allclose(learned.noise_variance, 0.49, rtol=1e-6)
    names = [variable.name for variable in learned.trainable_variables]
    assert "noise_log_variance" in names


def test_extreme_prior_variances_in_float32():
    """Written, drawn from and charged for without a factor that fails."""
    layer = DynamicKanervaMemory(8, 16, observation_noise=0.1)
    layer.build()
    rng = np.random.default_rng(8)
    written = rng.normal(size=(2, 40, 16)).astype("float32")
    written[:, 20:] = written[:, :20]
    for log_variance in (-50.0, 50.0):
        layer.memory_log_variance.assign(log_variance)
        memory = layer.write(written)
        draw = layer.sample(written, memory, seed=1)
        for value in (*tf.nest.flatten(draw), layer.kl(memory)):
            assert value.dtype == tf.float32
            assert np.all(np.isfinite(value))
        assert np.all(layer.kl(memory).numpy() >= 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory_size": 0}, "memory_size and code_size of at least 1"),
        ({"code_size": 0}, "memory_size and code_size of at least 1"),
        (
            {"observation_noise": 0.0},
            "observation_noise > 0, received 0",
        ),
        ({"observation_noise": 500}, "between 0.0025 and 403, received 500"),
        ({"address_noise": -1.0}, "address_noise > 0, received -1"),
        ({"num_opt_iters": 0}, "num_opt_iters of at least 1, received 0"),
    ],
)
def test_arguments_that_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        DynamicKanervaMemory(**{"memory_size": 3, "code_size": 5, **options})
