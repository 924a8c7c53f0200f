"""The memory of the Generative Pseudo-Inverse Memory."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers.memories.address_posterior import AddressPosterior
from kgpm.layers.memories.draw import Draw
from kgpm.ops import DEFAULT_ITERATIONS
from kgpm.ops import KL_MEMORY
from kgpm.ops import check_solver
from kgpm.ops import kalman_write
from kgpm.ops import kl_matrix_normal
from kgpm.ops import least_squares
from kgpm.ops import least_squares_from_statistics
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import pseudo_inverse
from kgpm.ops import sample_matrix_normal
from kgpm.ops import split_seed
from kgpm.ops import transpose


@keras.saving.register_keras_serializable(package="kgpm")
class PseudoInverseMemory(keras.layers.Layer):
    """A K x C matrix written and read by pseudo-inverses.

    Writing is deterministic: `W0 = Z M0^+` addresses the codes Z in the
    learned matrix M0, and `M = W0^+ Z` stores them. For T <= K this holds the
    codes exactly; for T > K it is one step of orthogonal iteration towards
    their uncentred PCA of rank K. Reading a code z gives its address
    `w = z M^+`; the mean read-out `z M^+ M` projects z on M's row space.

    A memory is a value, never an attribute: `{"mean": [B, K, C]}`, and
    `{"mean", "covariance": [B, K, K]}` for the sequential writer.

    Probabilistic reading: p(w) = N(0, I), p(z | w, M) = N(w M, s^2 I), and
    q(w | x, M) around the address. z is drawn from p(z | w, M) on both sides,
    so it costs nothing; w costs `kl_w`. Noise is drawn per slot, per code and
    per episode, exactly as charged.

    Args:
        memory_size: K, rows. At most `code_size - 1`: with K >= C a read
            returns its query and the memory has no effect.
        code_size: C, length of a code.
        observation_noise: s, standard deviation of p(z | w, M).
        writer: `direct` (above) or `sequential`: the Kalman update of the
            Dynamic Kanerva Machine, whose posterior has a density, so that
            `kl` exists and reads draw M from it.
        write_noise: standard deviation of the noise on written codes in
            training, a regulariser; none at inference.
        write_refine_steps: further alternating least-squares steps of a
            direct write; each comes closer to the codes' PCA for T > K.
        solver: one of `kgpm.ops.SOLVERS`, for writing and reading alike.
        solver_iterations: steps of an iterative solver; 0 for its default.
        read_ridge: how the ridge solver finds the mean of q(w | x, M):
            `bayes` (ridge s^2, the posterior mean under p(z | w, M), a
            shrinkage) or `tiny` (the projection). Mean reads always project,
            and the other solvers read by the inverse that they write with.
        posterior: covariance of q(w | x, M): `analytic`,
            (I + M M^T / s^2)^-1, the exact linear-Gaussian one, or
            `per_slot` (learned variances, as published).
        shared_noise: draw a single number for all slots, codes and episodes
            while charging for independent ones, as the published code does.
            The figures are then **not a bound**; only to reproduce that code.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: K >= C, unknown options, or noise out of range.

    Source: Pham et al., "Generative Pseudo-Inverse Memory", ICLR 2022.
    """

    # A row is what a decoder takes.
    rows_are_latents = True
    # Every write starts from the prior.
    prior_is_trained = True

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float = 0.5,
        writer: str = "direct",
        write_noise: float = 0.5,
        write_refine_steps: int = 0,
        solver: str = "ridge",
        solver_iterations: int = 0,
        read_ridge: str = "bayes",
        posterior: str = "analytic",
        shared_noise: bool = False,
        **kwargs: Any,
    ) -> None:
        check_sizes(memory_size=memory_size, code_size=code_size)
        check_positive(observation_noise=observation_noise)
        if memory_size >= code_size:
            raise UserError(
                "Expected memory_size < code_size (with as many rows as "
                "code dimensions a read returns its query unchanged), "
                f"received memory_size={memory_size}, code_size={code_size}."
            )
        check_solver(solver)
        check_choice("writer", writer, ("direct", "sequential"))
        check_choice("read_ridge", read_ridge, ("tiny", "bayes"))
        if write_noise < 0.0:
            raise UserError(
                f"Expected write_noise of at least 0, received {write_noise}."
            )
        if write_refine_steps < 0 or solver_iterations < 0:
            raise UserError(
                "Expected write_refine_steps and solver_iterations >= 0, "
                f"received {write_refine_steps} and {solver_iterations}."
            )
        # Half precision has no Cholesky factorisation, so the algebra keeps
        # its own dtype under every policy.
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.memory_size = memory_size
        self.code_size = code_size
        self.observation_noise = observation_noise
        self.writer = writer
        self.write_noise = write_noise
        self.write_refine_steps = write_refine_steps
        self.solver = solver
        self.solver_iterations = solver_iterations
        self.read_ridge = read_ridge
        self.posterior = posterior
        self.shared_noise = shared_noise
        self.address_posterior = AddressPosterior(
            memory_size,
            observation_noise,
            posterior,
            shared_noise,
            dtype=self.dtype_policy,
            name="address_posterior",
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
        if self.writer == "sequential":
            self.memory_log_variance = self.add_weight(
                shape=(), initializer="zeros", name="memory_log_variance"
            )
        self.address_posterior.build()
        self.built = True

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the divergences that a read and a write cost."""
        if self.writer == "sequential":
            return ("kl_w", KL_MEMORY)
        return ("kl_w",)

    @property
    def depends_on_order(self) -> bool:
        """Whether a write depends on the order of its codes."""
        return self.writer == "sequential"

    @property
    def streams(self) -> bool:
        """Whether a write can be made from statistics that add up."""
        return self.writer == "direct"

    @property
    def memory_floats(self) -> int:
        """How many numbers the memory of one episode holds."""
        count = self.memory_size * self.code_size
        if self.writer == "sequential":
            count += self.memory_size**2
        return count

    def prior(self, batch_size: Any) -> dict[str, Any]:
        """The memory before anything was written, for each of B episodes."""
        memory = {"mean": self.memory_mean[None]}
        if self.writer == "sequential":
            variance = ops.exp(self.memory_log_variance) + 1e-6
            identity = ops.eye(self.memory_size, dtype=self.compute_dtype)
            memory["covariance"] = (variance * identity)[None]
        return {
            name: ops.repeat(value, batch_size, axis=0)
            for name, value in memory.items()
        }

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
        keys: Any = None,
    ) -> dict[str, Any]:
        """Writes codes into a new memory.

        Args:
            codes: Z, `[B, T, C]`.
            weights: `[B, T]`, 0 for an absent code; all 1 by default.
            seed: of the write noise, used in training alone.
            training: whether to add the write noise.
            keys: `[B, T, C]`, what addresses the codes in M0, by default the
                codes. Direct writer only.

        Returns:
            The memory, `{"mean": [B, K, C]}`; with `"covariance"`
            `[B, K, K]` from the sequential writer.
        """
        codes = ops.cast(codes, self.compute_dtype)
        keys = codes if keys is None else ops.cast(keys, self.compute_dtype)
        if training and self.write_noise > 0.0:
            noise = self.write_noise * normal(
                ops.shape(codes), seed, self.compute_dtype
            )
            # One draw for address and content: two would make M a regression
            # on noisy regressors.
            codes, keys = codes + noise, keys + noise
        if self.writer == "sequential":
            if weights is None:
                weights = ops.ones(ops.shape(codes)[:2], self.compute_dtype)
            prior = self.prior(ops.shape(codes)[0])
            mean, covariance = kalman_write(
                codes,
                ops.cast(weights, self.compute_dtype),
                prior["mean"],
                prior["covariance"],
                self.observation_noise**2,
            )
            return {"mean": mean, "covariance": covariance}
        if weights is not None:
            # Least squares weighted by w is that of rows scaled by sqrt(w).
            root = ops.sqrt(ops.cast(weights, self.compute_dtype))[..., None]
            codes, keys = root * codes, root * keys
        address = ops.matmul(keys, self._invert(self.memory_mean))
        mean = least_squares(address, codes, self.solver, self._steps)
        for _ in range(self.write_refine_steps):
            address = ops.matmul(codes, self._invert(mean))
            mean = least_squares(address, codes, self.solver, self._steps)
        return {"mean": mean}

    @property
    def statistics_shape(self) -> tuple[int, int]:
        """Of what `accumulate` keeps of an episode."""
        return self.code_size, self.code_size

    def accumulate(
        self, codes: Any, statistics: Any = None, weights: Any = None
    ) -> Any:
        """Adds codes to the statistics of a direct write, `sum_t z_t^T z_t`.

        Args:
            codes: `[B, T, C]`.
            statistics: S of the codes so far, `[B, C, C]`; none to begin.
            weights: `[B, T]`, 0 for an absent code.

        Returns:
            S of all, `[B, C, C]`, float64: in float32 the remains of forgotten
            codes would not vanish.
        """
        added = self._squares(codes, weights)
        return added if statistics is None else statistics + added

    def remove(self, codes: Any, statistics: Any, weights: Any = None) -> Any:
        """Takes codes `[B, T, C]` out of S, exactly as if never written."""
        return statistics - self._squares(codes, weights)

    def _squares(self, codes: Any, weights: Any) -> Any:
        codes = ops.cast(codes, "float64")
        weighted = codes
        if weights is not None:
            weighted = codes * ops.cast(weights, codes.dtype)[..., None]
        return ops.matmul(transpose(weighted), codes)

    def write_statistics(self, statistics: Any) -> dict[str, Any]:
        """The memory that a direct write of the same codes would give.

        `M = (P^T S P)^+ P^T S` with P = M0^+, from the statistics alone.

        Args:
            statistics: S of `accumulate`, `[B, C, C]`.

        Returns:
            `{"mean": [B, K, C]}`.

        Raises:
            UserError: the sequential writer, whose result depends on order.
        """
        if self.writer != "direct":
            raise UserError(
                "Expected writer='direct' for writing from statistics, "
                f"received writer={self.writer!r}, whose memory depends on "
                "the order of the codes."
            )
        mean = ops.cast(self.memory_mean, "float64")
        for _ in range(1 + self.write_refine_steps):
            mean = least_squares_from_statistics(
                statistics, self._invert(mean), self.solver, self._steps
            )
        return {"mean": ops.cast(mean, self.compute_dtype)}

    def recall(self, memory: dict[str, Any]) -> dict[str, Any]:
        """A memory with M^+, `"inverse"` `[B, C, K]`, for many mean reads."""
        if "inverse" in memory:
            return memory
        return {**memory, "inverse": self._invert(memory["mean"])}

    def address(self, codes: Any, memory: dict[str, Any]) -> Any:
        """`w = z M^+`: `[B, Q, C]` to `[B, Q, K]`."""
        codes = ops.cast(codes, self.compute_dtype)
        return ops.matmul(codes, self.recall(memory)["inverse"])

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean read-out `z M^+ M`: `[B, Q, C]` to `[B, Q, C]`."""
        return ops.matmul(self.address(codes, memory), memory["mean"])

    def rows(self, memory: dict[str, Any]) -> Any:
        """The memory as rows for display, `[B, K, C]`."""
        return memory["mean"]

    def draw(self, memory: dict[str, Any], seed: Any) -> dict[str, Any]:
        """M drawn from a memory with a covariance, one for each episode.

        Returns:
            `{"mean": [B, K, C]}`; a memory that is a point stays as it is.
        """
        if "covariance" not in memory:
            return memory
        mean = memory["mean"]
        noise = normal(ops.shape(mean), seed, self.compute_dtype)
        return {"mean": sample_matrix_normal(mean, memory["covariance"], noise)}

    def sample(
        self,
        codes: Any,
        memory: dict[str, Any],
        seed: Any,
        training: bool = False,
    ) -> Draw:
        """Draws read-outs as the bound needs them.

        Args:
            codes: `[B, Q, C]`.
            memory: as `write` returns it. One with a covariance is drawn
                from first, so that its divergence is paid for.
            seed: `int32[2]` or an integer.
            training: not used.

        Returns:
            `Draw` with latents z `[B, Q, C]` and the term `kl_w` `[B, Q]`.
        """
        del training
        codes = ops.cast(codes, self.compute_dtype)
        seeds = split_seed(make_seed(seed), 3)
        mean = self.draw(memory, seeds[2])["mean"]
        factor = None
        if self.read_ridge == "bayes" and self.solver == "ridge":
            # Mean and covariance of the posterior share a factorisation.
            factor = self.address_posterior.precision_factor(mean)
            w_mean = self.address_posterior.exact_mean(codes, mean, factor)
        else:
            w_mean = ops.matmul(codes, self._invert(mean))
        draw = self.address_posterior(w_mean, mean, seeds[0], factor)
        noise = normal(ops.shape(codes), seeds[1], self.compute_dtype)
        latents = ops.matmul(draw.latents, mean)
        latents = latents + self.observation_noise * noise
        return draw._replace(latents=latents)

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Codes `w M` with w ~ N(0, I): `[B, num_samples, C]`."""
        mean = memory["mean"]
        shape = (ops.shape(mean)[0], num_samples, self.memory_size)
        return ops.matmul(normal(shape, seed, self.compute_dtype), mean)

    def latents_of(self, codes: Any) -> Any:
        """Latents of codes `[B, Q, C]` without a memory: the codes."""
        return codes

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln p(w) of a mean read without constants, `[B, Q]`."""
        address = self.address(codes, memory)
        return 0.5 * ops.sum(ops.square(address), axis=-1)

    def kl(self, memory: dict[str, Any]) -> Any:
        """KL of the written memory from its prior, `[B]` in nats.

        Raises:
            UserError: the direct writer, whose memory is a point without
                density, so that no finite divergence exists.
        """
        if "covariance" not in memory:
            raise UserError(
                "Expected writer='sequential' for the memory's divergence, "
                "received writer='direct', whose memory has no density."
            )
        prior = self.prior(ops.shape(memory["mean"])[0])
        return kl_matrix_normal(
            memory["mean"],
            memory["covariance"],
            prior["mean"],
            prior["covariance"],
        )

    @property
    def _steps(self) -> int:
        return self.solver_iterations or DEFAULT_ITERATIONS[self.solver]

    def _invert(self, matrix: Any) -> Any:
        matrix = ops.convert_to_tensor(matrix)
        return pseudo_inverse(matrix, self.solver, self._steps)

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            memory_size=self.memory_size,
            code_size=self.code_size,
            observation_noise=self.observation_noise,
            writer=self.writer,
            write_noise=self.write_noise,
            write_refine_steps=self.write_refine_steps,
            solver=self.solver,
            solver_iterations=self.solver_iterations,
            read_ridge=self.read_ridge,
            posterior=self.posterior,
            shared_noise=self.shared_noise,
        )
        return config
