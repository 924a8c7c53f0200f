"""The algebra of writing and reading a pseudo-inverse memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.errors import UserError
from kgpm.layers import PseudoInverseMemory

K, C = 4, 9
# Iterations at which the solver is converged for these memories.
EXACT = {
    "ridge": {},
    "svd": {"solver": "svd"},
    "newton": {"solver": "newton", "solver_iterations": 30},
    "hyperpower": {"solver": "hyperpower", "solver_iterations": 20},
}


def make(dtype="float64", size=K, columns=C, **arguments):
    memory = PseudoInverseMemory(size, columns, dtype=dtype, **arguments)
    memory.build()
    rng = np.random.default_rng(size)
    memory.memory_mean.assign(rng.normal(size=(size, columns)))
    return memory


def draw_codes(count, seed=1, episodes=2, columns=C):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(episodes, count, columns))


def projector(rows):
    """Orthogonal projector onto the row space of one matrix."""
    basis = np.linalg.svd(rows, full_matrices=False)[2]
    basis = basis[: np.linalg.matrix_rank(rows)]
    return basis.T @ basis


def projectors(memory):
    return np.stack([projector(mean) for mean in memory["mean"].numpy()])


@pytest.mark.parametrize("count", [3, 12])
@pytest.mark.parametrize("solver", EXACT)
def test_read_is_the_projection_on_the_row_space(solver, count):
    layer = make(**EXACT[solver])
    memory = layer.write(draw_codes(count))
    queries = draw_codes(5, seed=2)
    once = layer.read(queries, memory)
    np.testing.assert_allclose(
        once, queries @ projectors(memory), rtol=0, atol=1e-5
    )
    twice = layer.read(once, memory)
    np.testing.assert_allclose(twice, once, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        layer.address(queries, memory) @ memory["mean"], once, atol=1e-12
    )


@pytest.mark.parametrize("count", [1, K - 1, K])
@pytest.mark.parametrize("solver", EXACT)
def test_up_to_k_codes_are_retrieved_exactly(solver, count):
    codes = draw_codes(count)
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-3)):
        if dtype == "float32" and solver == "svd":
            continue  # Of full rank by its cut-off, after rounding.
        layer = make(dtype, **EXACT[solver])
        if dtype == "float32":
            # More steps would invert float32's rounding errors.
            layer = make(dtype, solver=layer.solver)
        result = layer.read(codes, layer.write(codes))
        assert result.dtype == dtype
        error = np.linalg.norm(result - codes) / np.linalg.norm(codes)
        assert error < tolerance


def test_more_codes_are_a_power_step_from_the_prior():
    codes = draw_codes(12)
    layer = make()
    prior = layer.memory_mean.numpy()
    expected = [projector(prior @ z.T @ z) for z in codes]
    np.testing.assert_allclose(
        projectors(layer.write(codes)), expected, atol=1e-6
    )


def test_write_is_numpys():
    codes = draw_codes(12)
    layer = make()
    memory = layer.write(codes)
    for i in range(2):
        address = codes[i] @ np.linalg.pinv(layer.memory_mean.numpy())
        expected = np.linalg.lstsq(address, codes[i], rcond=None)[0]
        np.testing.assert_allclose(memory["mean"][i], expected, atol=1e-6)


def test_refining_converges_to_the_principal_components():
    rng = np.random.default_rng(3)
    # A decaying spectrum, as of an encoder's codes.
    codes = draw_codes(40, episodes=1) * np.geomspace(1.0, 0.1, C)
    codes = codes @ np.linalg.qr(rng.normal(size=(C, C)))[0]
    squares = np.square(np.linalg.svd(codes[0], compute_uv=False))
    optimum = squares[K:].sum() / squares.sum()
    residuals = []
    for steps in (0, 1, 2, 5, 60):
        layer = make(write_refine_steps=steps)
        error = codes - layer.read(codes, layer.write(codes))
        residuals.append(np.sum(np.square(error)) / squares.sum())
    assert all(np.diff(residuals) < 0)
    assert residuals[0] > 1.01 * optimum
    assert residuals[-1] == pytest.approx(optimum, rel=1e-5)


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("count", [3, 12])
def test_order_of_the_codes_does_not_matter(count, steps):
    layer = make(write_refine_steps=steps)
    codes = draw_codes(count)
    order = np.random.default_rng(4).permutation(count)
    np.testing.assert_allclose(
        projectors(layer.write(codes[:, order])),
        projectors(layer.write(codes)),
        atol=1e-6,
    )


@pytest.mark.parametrize("count", [3, 12])
@pytest.mark.parametrize("scale", [10.0, 0.05])
def test_scale_of_the_prior_does_not_change_the_read_out(scale, count):
    layer, codes = make(), draw_codes(count)
    queries = draw_codes(5, seed=2)
    memory = layer.write(codes)
    before = layer.read(queries, memory)
    address = layer.address(queries, memory)
    layer.memory_mean.assign(scale * layer.memory_mean)
    memory_after = layer.write(codes)
    np.testing.assert_allclose(
        layer.read(queries, memory_after), before, atol=1e-6
    )
    # What changes is the coordinates, and with them the divergence.
    np.testing.assert_allclose(
        layer.address(queries, memory_after), address / scale, rtol=1e-4
    )


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("count", [3, 12])
@pytest.mark.parametrize("solver", [*EXACT, "reference"])
def test_streamed_statistics_write_the_same_memory(solver, count, steps):
    arguments = EXACT.get(solver, {"solver": solver})
    layer = make(write_refine_steps=steps, **arguments)
    codes = draw_codes(count)
    if solver == "reference":
        # Into the window of singular values that its filter inverts.
        codes, steps = 8.0 * codes, 0
    statistics = None
    for chunk in np.array_split(codes, 3, axis=1):
        statistics = layer.accumulate(chunk, statistics)
    streamed = layer.write_statistics(statistics)
    at_once = layer.write(codes)
    np.testing.assert_allclose(
        streamed["mean"], at_once["mean"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("count", [3, 12])
def test_forgotten_codes_were_never_written(count):
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-3)):
        layer = make(dtype)
        codes, other = draw_codes(count), draw_codes(7, seed=5)
        statistics = layer.accumulate(other, layer.accumulate(codes))
        assert statistics.dtype == tf.float64
        statistics = layer.remove(other, statistics)
        memory = layer.write_statistics(statistics)
        assert memory["mean"].dtype == dtype
        np.testing.assert_allclose(
            memory["mean"],
            layer.write(codes)["mean"],
            rtol=tolerance,
            atol=tolerance,
        )


def test_a_code_encoded_again_is_forgotten_too():
    """In another batch, a float32 network gives a code that differs by 1e-7.

    What that leaves in the statistics must not become a row of the memory.
    """
    layer = PseudoInverseMemory(memory_size=8, code_size=C)
    layer.build()
    generator = np.random.default_rng(5)
    kept = generator.normal(size=(1, 3, C)).astype("float32")
    other = generator.normal(size=(1, 30, C)).astype("float32")
    statistics = layer.accumulate(np.concatenate([kept, other], axis=1))
    again = other * (1.0 + 1e-7 * generator.normal(size=other.shape))
    for position in range(30):
        code = again[:, position : position + 1].astype("float32")
        statistics = layer.remove(code, statistics)
    memory = layer.write_statistics(statistics)
    # What is read lies in the span of what was kept.
    basis = np.linalg.qr(kept[0].T.astype("float64"))[0]
    np.testing.assert_allclose(
        layer.read(other, memory)[0],
        other[0] @ basis @ basis.T,
        atol=1e-3,
    )


def test_nothing_written_is_a_zero_memory_that_reads_zero():
    layer = make()
    queries = draw_codes(5)
    for memory in (
        layer.write(draw_codes(3), weights=np.zeros((2, 3))),
        layer.write_statistics(tf.zeros((2, C, C), "float64")),
    ):
        np.testing.assert_allclose(memory["mean"], np.zeros((2, K, C)))
        np.testing.assert_allclose(layer.read(queries, memory), 0.0)


@pytest.mark.parametrize("count", [4, 12])
def test_weight_zero_is_an_absent_row(count):
    layer = make()
    codes = draw_codes(count)
    weights = np.ones((2, count))
    weights[:, 1::2] = 0.0
    # What lies in an absent row must not matter.
    codes[:, 1::2] *= 100.0
    present = layer.write(codes[:, ::2])
    for name, value in layer.write(codes, weights).items():
        np.testing.assert_allclose(value, present[name], atol=1e-6)
    np.testing.assert_allclose(
        layer.accumulate(codes, weights=weights),
        layer.accumulate(codes[:, ::2]),
        atol=1e-10,
    )


@pytest.mark.parametrize("count", [2, 7])
def test_weight_two_is_the_row_twice(count):
    layer = make(write_refine_steps=1)
    codes = draw_codes(count)
    weights = np.ones((2, count))
    weights[:, 0] = 2.0
    twice = np.concatenate([codes, codes[:, :1]], axis=1)
    np.testing.assert_allclose(
        layer.write(codes, weights)["mean"],
        layer.write(twice)["mean"],
        # The second step inverts a memory of two codes in four rows, and its
        # rounding by the ridge's 1e9.
        rtol=1e-5,
        atol=1e-5,
    )


def test_write_noise_is_for_training_and_one_draw():
    layer, codes = make(write_noise=0.4), draw_codes(12)
    clean = layer.write(codes)["mean"]
    np.testing.assert_array_equal(layer.write(codes, seed=3)["mean"], clean)
    noisy = layer.write(codes, seed=3, training=True)["mean"]
    assert np.max(np.abs(noisy - clean)) > 1e-3
    # The same noise on address and content is a clean write of noisy codes.
    noise = 0.4 * ops.normal(codes.shape, 3, "float64")
    np.testing.assert_allclose(
        noisy, layer.write(codes + noise)["mean"], atol=1e-12
    )
    other = layer.write(codes, seed=4, training=True)["mean"]
    assert np.max(np.abs(noisy - other)) > 1e-3
    silent = make(write_noise=0.0)
    np.testing.assert_array_equal(
        silent.write(codes, training=True)["mean"], clean
    )


def test_write_noise_has_its_standard_deviation():
    layer = make(write_noise=0.4)
    # One code alone is stored exactly, noise and all, up to its scale: a
    # code along an axis shows the noise on the other axes.
    codes = np.zeros((4000, 1, C))
    codes[..., 0] = 1.0
    mean = layer.write(codes, seed=5, training=True)["mean"].numpy()
    rows = mean[:, 0] / mean[:, 0, :1]
    ratio = np.median(np.abs(rows[:, 1:]))
    rng = np.random.default_rng(6)
    noise = 0.4 * rng.normal(size=(100_000, 2))
    expected = np.median(np.abs(noise[:, 0] / (1.0 + noise[:, 1])))
    assert ratio == pytest.approx(expected, rel=0.03)


def test_keys_address_and_codes_are_stored():
    """The keys of an LSTM; the noise of training is the same on both."""
    layer = make(columns=C + 1, ordering="lstm", write_noise=0.4)
    codes = draw_codes(12, columns=C + 1)
    weights = np.ones((2, 12))
    weights[1, 3:5] = 0.0
    memory = layer.write(codes, weights, seed=3, training=True)
    noise = 0.4 * ops.normal(codes.shape, 3, "float64").numpy()
    keys = layer.ordering_lstm(codes, weights).numpy() + noise
    codes = codes + noise
    codes, keys = weights[..., None] * codes, weights[..., None] * keys
    assert not layer.streams and layer.depends_on_order
    for i in range(2):
        address = keys[i] @ np.linalg.pinv(layer.memory_mean.numpy())
        expected = np.linalg.lstsq(address, codes[i], rcond=None)[0]
        np.testing.assert_allclose(memory["mean"][i], expected, atol=1e-6)


def test_reference_solver_is_the_published_recipe():
    def inverse(matrix):
        x = 5e-4 * matrix.T
        for _ in range(7):
            x = 2.0 * x - x @ matrix @ x
        return x

    layer = make(solver="reference")
    codes = 10.0 * draw_codes(6)
    memory = layer.write(codes)
    read = layer.read(codes, memory)
    for i in range(2):
        z = codes[i]
        address = z @ inverse(layer.memory_mean.numpy())
        mean = inverse(address) @ z
        np.testing.assert_allclose(memory["mean"][i], mean, atol=1e-10)
        np.testing.assert_allclose(
            read[i], z @ inverse(mean) @ mean, atol=1e-10
        )


def test_solver_iterations():
    layer = make(solver="newton", solver_iterations=2)
    memory = {"mean": tf.constant(draw_codes(K))}
    codes = draw_codes(5, seed=2)
    np.testing.assert_allclose(
        layer.address(codes, memory),
        codes @ ops.pseudo_inverse(memory["mean"], "newton", 2),
        atol=1e-12,
    )
    default = make(solver="newton").address(codes, memory)
    expected = codes @ ops.pseudo_inverse(memory["mean"], "newton", 15)
    np.testing.assert_allclose(default, expected, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["ridge", "newton"])
def test_unknown_number_of_codes_inside_a_function(solver):
    layer = make(solver=solver)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, C), tf.float64),
            tf.TensorSpec((None, None), tf.float64),
        ]
    )
    def write_and_read(codes, weights):
        memory = layer.write(codes, weights)
        return layer.read(codes, memory)

    for count in (3, 12):
        codes = draw_codes(count)
        weights = np.ones((2, count))
        weights[0, -1] = 0.0
        expected = layer.read(codes, layer.write(codes, weights))
        np.testing.assert_allclose(
            write_and_read(codes, weights), expected, atol=2e-3
        )


def test_prior():
    layer = make()
    memory = layer.prior(3)
    assert set(memory) == {"mean"}
    assert memory["mean"].shape == (3, K, C)
    np.testing.assert_array_equal(memory["mean"][2], layer.memory_mean)
    assert layer.memory_floats(7) == K * C


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(memory_size=C), "memory_size < code_size.*memory_size=9"),
        (dict(memory_size=C + 1), "memory_size < code_size"),
        (dict(memory_size=0), "memory_size and code_size of at least 1"),
        (dict(solver="qr"), "solver to be one of ridge, .*received 'qr'"),
        (dict(read_ridge="big"), "bayes, tiny, received 'big'"),
        (dict(posterior="full"), "analytic, per_slot, received 'full'"),
        (dict(ordering="gru"), "none, lstm, received 'gru'"),
        (dict(ordering="lstm"), "even code_size for ordering='lstm'"),
        (dict(observation_noise=0.0), "observation_noise > 0"),
        (dict(write_noise=-0.1), "write_noise of at least 0"),
        (dict(write_refine_steps=-1), "write_refine_steps"),
        (
            dict(solver="newton", solver_iterations=-1),
            "solver_iterations of at least 1, received -1",
        ),
        # Options without effect.
        (dict(solver_iterations=5), "solver_iterations with an iterative"),
        (dict(solver="svd", solver_iterations=5), "solver_iterations=5: leave"),
        (
            dict(solver="newton", read_ridge="tiny"),
            "read_ridge with solver='ridge' only",
        ),
        (
            dict(shared_noise=True, posterior="analytic"),
            "shared_noise with posterior='per_slot' only",
        ),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        PseudoInverseMemory(**{"memory_size": K, "code_size": C, **arguments})


def test_half_precision_policy_leaves_the_algebra_alone():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = PseudoInverseMemory(K, C)
        layer.build()
        codes = tf.cast(draw_codes(3), "bfloat16")
        memory = layer.write(codes)
        assert memory["mean"].dtype == tf.float32
        draw = layer.sample(codes, memory, seed=1)
    finally:
        keras.config.set_dtype_policy(before)
    assert {v.dtype for v in tf.nest.flatten(draw)} == {tf.float32}
