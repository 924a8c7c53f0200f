"""The memory of GPM: written by a pseudo-inverse, read by an address."""

from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_goes_with
from kgpm.errors import check_not_negative
from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.memory import Memory
from kgpm.layers.memories.ordering_lstm import OrderingLSTM
from kgpm.ops import DEFAULT_ITERATIONS
from kgpm.ops import check_solver
from kgpm.ops import is_large
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import kl_precision_standard
from kgpm.ops import least_squares
from kgpm.ops import least_squares_from_statistics
from kgpm.ops import linear_posterior
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import pseudo_inverse
from kgpm.ops import split_seed
from kgpm.ops import times_pseudo_inverse
from kgpm.ops import transpose
from kgpm.ops import with_noise

# Keeps exp(log_variance) and its inverse in float32's comfortable range.
_LOG_VARIANCE_RANGE = (-10.0, 4.0)
# Largest squared norm of A for a float32 factor of I + A A^T: a divergence is
# then right to 1e-3 nats and a gradient to 3e-3 at K = 512, mostly to 1e-5.
_LARGEST_IN_FLOAT32 = 1e5


@keras.saving.register_keras_serializable(package="kgpm")
class PseudoInverseMemory(Memory):
    """A K x C matrix written and read by pseudo-inverses.

    Writing is deterministic: `W0 = Z M0^+` addresses the codes Z in the
    learned matrix M0, and `M = W0^+ Z` stores them. For T <= K this holds the
    codes exactly; for T > K it is one step of orthogonal iteration towards
    their uncentred PCA of rank K. Reading a code z gives its address
    `w = z M^+`; the mean read-out `z M^+ M` projects z on M's row space. The
    memory is `{"mean": [B, K, C]}`.

    Probabilistic reading: p(w) = N(0, I), p(z | w, M) = N(w M, s^2 I), and
    q(w | x, M) around the address. z is drawn from p(z | w, M) on both sides,
    so it costs nothing; w costs `kl_w`. Noise is drawn per slot, per code and
    per episode, exactly as charged.

    Args:
        memory_size: K, rows. At most `code_size - 1`: with K >= C a read
            returns its query and the memory has no effect.
        code_size: C, length of a code.
        observation_noise: s, standard deviation of p(z | w, M).
        write_noise: standard deviation of the noise on written codes in
            training, a regulariser; none at inference.
        write_refine_steps: further alternating least-squares steps of a
            write; each comes closer to the codes' PCA for T > K.
        solver: one of `kgpm.ops.SOLVERS`, for writing and reading alike.
        solver_iterations: steps of `solver="newton"`, `"hyperpower"` or
            `"reference"`; by default its own number.
        read_ridge: how `solver="ridge"` finds the mean of q(w | x, M):
            `bayes`, the default (ridge s^2, the posterior mean under
            p(z | w, M), a shrinkage), or `tiny` (the projection). Mean reads
            always project, and the other solvers read by the inverse that
            they write with.
        posterior: covariance of q(w | x, M), `analytic` or `per_slot`, see
            `AddressPosterior`.
        ordering: `none`, or `lstm`: the keys of a write, which address codes
            in M0, come from an `OrderingLSTM` and so depend on their order.
        shared_noise: see `AddressPosterior`: **not a bound**.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: K >= C, unknown options, options without effect, or noise
            out of range.

    Source: Pham et al., "Generative Pseudo-Inverse Memory", ICLR 2022.
    """

    term_names = ("kl_w",)
    # Every write starts from the prior.
    prior_is_trained = True

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float = 0.5,
        write_noise: float = 0.5,
        write_refine_steps: int = 0,
        solver: str = "ridge",
        solver_iterations: int | None = None,
        read_ridge: str | None = None,
        posterior: str = "analytic",
        ordering: str = "none",
        shared_noise: bool = False,
        **kwargs: Any,
    ) -> None:
        check_sizes(memory_size=memory_size, code_size=code_size)
        check_positive(observation_noise=observation_noise)
        check_not_negative(
            write_noise=write_noise,
            write_refine_steps=write_refine_steps,
        )
        if solver_iterations is not None:
            check_sizes(solver_iterations=solver_iterations)
        if memory_size >= code_size:
            raise UserError(
                "Expected memory_size < code_size (with as many rows as "
                "code dimensions a read returns its query unchanged), "
                f"received memory_size={memory_size}, code_size={code_size}."
            )
        check_solver(solver)
        check_choice("read_ridge", read_ridge or "bayes", ("bayes", "tiny"))
        check_choice("ordering", ordering, ("none", "lstm"))
        iterative = DEFAULT_ITERATIONS[solver] > 0
        check_goes_with(
            "an iterative solver (newton, hyperpower, reference)",
            iterative,
            solver_iterations=solver_iterations,
        )
        is_ridge = solver == "ridge"
        check_goes_with("solver='ridge'", is_ridge, read_ridge=read_ridge)
        super().__init__(**kwargs)
        self.memory_size = memory_size
        self.code_size = code_size
        self.observation_noise = observation_noise
        self.write_noise = write_noise
        self.write_refine_steps = write_refine_steps
        self.solver = solver
        self.solver_iterations = solver_iterations or DEFAULT_ITERATIONS[solver]
        self.shrinks = is_ridge and read_ridge != "tiny"
        self.address_posterior = AddressPosterior(
            memory_size,
            observation_noise,
            posterior,
            shared_noise,
            dtype=self.dtype_policy,
            name="address_posterior",
        )
        self.why_no_bound = self.address_posterior.why_no_bound
        self.depends_on_order = ordering != "none"
        self.streams = not self.depends_on_order
        self.ordering_lstm = None
        if self.depends_on_order:
            self.ordering_lstm = OrderingLSTM(
                code_size, dtype=self.dtype_policy, name="ordering_lstm"
            )

    def build(self, input_shape: tuple | None = None) -> None:
        # Rows of length one give addresses of the scale of their prior; the
        # published N(0, 1) starts with three nats too many in each slot.
        stddev = self.code_size**-0.5
        self.memory_mean = self.add_weight(
            shape=(self.memory_size, self.code_size),
            initializer=keras.initializers.RandomNormal(stddev=stddev),
            name="memory_mean",
        )
        self.address_posterior.build()
        if self.ordering_lstm is not None:
            self.ordering_lstm.build()
        self.built = True

    def memory_floats(self, episode_length: int) -> int:
        return self.memory_size * self.code_size

    def prior(self, batch_size: Any) -> dict[str, Any]:
        return {"mean": ops.repeat(self.memory_mean[None], batch_size, axis=0)}

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes codes into a new memory, see `Memory.write`.

        Args:
            codes: Z, `[B, T, C]`.
            weights: `[B, T]`, 0 for an absent code; all 1 by default.
            seed: of the write noise, used in training alone.
            training: whether to add the write noise.

        Returns:
            The memory, `{"mean": [B, K, C]}`.
        """
        codes = keys = ops.cast(codes, self.compute_dtype)
        if self.ordering_lstm is not None:
            keys = self.ordering_lstm(codes, weights)
        if training:
            # One draw for address and content: two would make M a regression
            # on noisy regressors.
            noise = with_noise(ops.zeros_like(codes), self.write_noise, seed)
            codes, keys = codes + noise, keys + noise
        if weights is not None:
            # Least squares weighted by w is that of rows scaled by sqrt(w).
            root = ops.sqrt(ops.cast(weights, self.compute_dtype))[..., None]
            codes, keys = root * codes, root * keys
        mean = self._solve(
            ops.matmul(keys, self._invert(self.memory_mean)), codes
        )
        for _ in range(self.write_refine_steps):
            address = ops.matmul(codes, self._invert(mean))
            mean = self._solve(address, codes)
        return {"mean": mean}

    def recall(self, memory: dict[str, Any]) -> dict[str, Any]:
        """A memory with M^+, `"inverse"` `[B, C, K]`, for many mean reads."""
        if "inverse" in memory:
            return memory
        return {**memory, "inverse": self._invert(memory["mean"])}

    def address(self, codes: Any, memory: dict[str, Any]) -> Any:
        """`w = z M^+`: `[B, Q, C]` to `[B, Q, K]`."""
        codes = ops.cast(codes, self.compute_dtype)
        if "inverse" in memory:
            return ops.matmul(codes, memory["inverse"])
        return times_pseudo_inverse(
            codes, memory["mean"], self.solver, self.solver_iterations
        )

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean read-out `z M^+ M`: `[B, Q, C]` to `[B, Q, C]`."""
        return ops.matmul(self.address(codes, memory), memory["mean"])

    def sample(
        self,
        codes: Any,
        memory: dict[str, Any],
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws w ~ q(w | x, M) and z ~ p(z | w, M).

        Returns:
            `Draw` with latents z `[B, Q, C]` and the term `kl_w` `[B, Q]`.
        """
        codes = ops.cast(codes, self.compute_dtype)
        address_seed, noise_seed = split_seed(make_seed(seed), 2)
        mean = memory["mean"]
        w_mean = None if self.shrinks else self.address(codes, memory)
        draw = self.address_posterior(codes, mean, address_seed, w_mean)
        latents = with_noise(
            ops.matmul(draw.latents, mean), self.observation_noise, noise_seed
        )
        return draw._replace(latents=latents)

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Codes `w M` with w ~ N(0, I): `[B, num_samples, C]`."""
        mean = memory["mean"]
        shape = (ops.shape(mean)[0], num_samples, self.memory_size)
        return ops.matmul(normal(shape, seed, self.compute_dtype), mean)

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln p(w) of a mean read without constants, `[B, Q]`."""
        address = self.address(codes, memory)
        return 0.5 * ops.sum(ops.square(address), axis=-1)

    @property
    def statistics_shape(self) -> tuple[int, int]:
        return self.code_size, self.code_size

    def accumulate(
        self, codes: Any, statistics: Any = None, weights: Any = None
    ) -> Any:
        """Adds codes to the statistics of a write, `S = sum_t z_t^T z_t`.

        Returns:
            S of all, `[B, C, C]`, float64: in float32 the remains of forgotten
            codes would not vanish.
        """
        added = self._squares(codes, weights)
        return added if statistics is None else statistics + added

    def remove(self, codes: Any, statistics: Any, weights: Any = None) -> Any:
        """Takes codes `[B, T, C]` out of S, exactly as if never written."""
        return statistics - self._squares(codes, weights)

    def write_statistics(self, statistics: Any) -> dict[str, Any]:
        """The memory that a write of the same codes would give.

        `M = (P^T S P)^+ P^T S` with P = M0^+, from the statistics alone.
        """
        mean = ops.cast(self.memory_mean, "float64")
        for _ in range(1 + self.write_refine_steps):
            mean = least_squares_from_statistics(
                statistics,
                self._invert(mean),
                self.solver,
                self.solver_iterations,
            )
        return {"mean": ops.cast(mean, self.compute_dtype)}

    def _squares(self, codes: Any, weights: Any) -> Any:
        codes = ops.cast(codes, "float64")
        weighted = codes
        if weights is not None:
            weighted = codes * ops.cast(weights, codes.dtype)[..., None]
        return ops.matmul(transpose(weighted), codes)

    def _solve(self, address: Any, codes: Any) -> Any:
        return least_squares(
            address, codes, self.solver, self.solver_iterations
        )

    def _invert(self, matrix: Any) -> Any:
        matrix = ops.convert_to_tensor(matrix)
        return pseudo_inverse(matrix, self.solver, self.solver_iterations)


@keras.saving.register_keras_serializable(package="kgpm")
class AddressPosterior(Configured, keras.layers.Layer):
    """q(w | x, M) of a linear address w, against the prior N(0, I).

    Args:
        memory_size: K, length of an address.
        observation_noise: s of p(z | w, M) = N(w M, s^2 I).
        posterior: `analytic`, the covariance (I + M M^T / s^2)^-1 of the
            exact posterior of w given z, or `per_slot`, a learned variance
            for each slot, as published. With T near K a memory may have very
            long rows: the analytic noise shrinks along them, a learned one
            drowns the read-out.
        shared_noise: one number for all slots, codes and episodes while
            charging for independent ones, as the published code does. The
            figures are then **not a bound**; only to reproduce that code.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        codes: z, `[B, Q, C]`.
        memory_mean: M, `[B, K, C]`.
        seed: `int32[2]` or an integer.
        w_mean: `[B, Q, K]`; by default that of the exact posterior,
            `z M^T (M M^T + s^2 I)^-1`.

    Returns:
        `Draw` with latents w `[B, Q, K]` and the term `kl_w` `[B, Q]`.

    Raises:
        UserError: unknown posterior, or shared noise with the analytic one.
    """

    def __init__(
        self,
        memory_size: int,
        observation_noise: float,
        posterior: str = "analytic",
        shared_noise: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice("posterior", posterior, ("analytic", "per_slot"))
        check_goes_with(
            "posterior='per_slot'",
            posterior == "per_slot",
            shared_noise=shared_noise or None,
        )
        super().__init__(**kwargs)
        # A factor stays in the precision that it is taken in.
        self.autocast = False
        self.memory_size = memory_size
        self.observation_noise = observation_noise
        self.posterior = posterior
        self.shared_noise = shared_noise
        self.why_no_bound = ""
        if shared_noise:
            self.why_no_bound = (
                "the model charges for noise that it does not draw "
                "(--shared_noise, as published)"
            )

    def build(self, input_shape: tuple | None = None) -> None:
        if self.posterior == "per_slot":
            self.w_log_variance = self.add_weight(
                shape=(self.memory_size,),
                initializer=keras.initializers.Constant(-2.0),
                name="w_log_variance",
            )
        self.built = True

    def call(
        self, codes: Any, memory_mean: Any, seed: Any, w_mean: Any = None
    ) -> Draw:
        shape = (*ops.shape(codes)[:-1], self.memory_size)
        noise = self._noise(shape, seed)

        def draw(dtype: str) -> tuple:
            return self._draw(codes, memory_mean, w_mean, noise, dtype)

        if not is_large(memory_mean):
            w, kl_w, log_ratio = draw("float64")
        else:
            w, kl_w, log_ratio = ops.cond(
                self._suits_float32(memory_mean),
                lambda: draw("float32"),
                lambda: draw("float64"),
            )
        return Draw(w, {"kl_w": kl_w}, log_ratio)

    def _draw(
        self,
        codes: Any,
        memory_mean: Any,
        w_mean: Any,
        noise: Any,
        dtype: str,
    ) -> tuple:
        """w, its divergence and log-ratio, by a factor in `dtype`."""
        known = linear_posterior(
            ops.cast(codes, dtype) / self.observation_noise,
            ops.cast(memory_mean, dtype) / self.observation_noise,
            ops.cast(noise, dtype),
        )
        if w_mean is None:
            w_mean = ops.cast(known.mean, self.compute_dtype)
        if self.posterior == "analytic":
            kl_w = kl_precision_standard(
                ops.cast(w_mean, dtype), known.log_precision, known.trace
            )
            kl_w = ops.cast(kl_w, w_mean.dtype)
            half_log = ops.cast(0.5 * known.log_precision, w_mean.dtype)
            half_square = 0.5 * ops.sum(ops.square(noise), axis=-1)
            log_q = half_log[..., None] - half_square
            w = w_mean + ops.cast(known.spread, w_mean.dtype)
        else:
            log_variance = ops.clip(self.w_log_variance, *_LOG_VARIANCE_RANGE)
            w = w_mean + ops.exp(0.5 * log_variance) * noise
            kl_w = kl_diagonal_standard(w_mean, log_variance)
            log_q = -0.5 * ops.sum(ops.square(noise) + log_variance, axis=-1)
        # The constants -K/2 ln(2 pi) of both densities cancel.
        return w, kl_w, -0.5 * ops.sum(ops.square(w), axis=-1) - log_q

    def _suits_float32(self, memory_mean: Any) -> Any:
        """Whether `I + M M^T / s^2` of all episodes keeps digits in float32.

        Where T = K the rows of M may be very long. Mean and covariance then
        lose digits; the divergence is that of what is drawn either way.
        """
        squares = ops.sum(ops.square(memory_mean), axis=(-2, -1))
        largest = ops.max(squares) / self.observation_noise**2
        return largest < _LARGEST_IN_FLOAT32

    def _noise(self, shape: tuple, seed: Any) -> Any:
        if self.shared_noise:
            single = normal((), seed, self.compute_dtype)
            return ops.broadcast_to(single, shape)
        return normal(shape, seed, self.compute_dtype)
