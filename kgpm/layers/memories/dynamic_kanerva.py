"""The memory of the Dynamic Kanerva Machine."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers.memories.matrix_normal import MatrixNormalMemory
from kgpm.layers.memories.memory import Draw
from kgpm.ops import KL_MEMORY
from kgpm.ops import kalman_write
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import ridge_address
from kgpm.ops import split_seed

# Keeps exp(log_variance) and its inverse in float32's comfortable range.
_LOG_VARIANCE_RANGE = (-10.0, 4.0)


@keras.saving.register_keras_serializable(package="kgpm")
class DynamicKanervaMemory(MatrixNormalMemory):
    """A matrix-normal memory whose addresses are solved for.

    Codes are deterministic. An address has the prior N(0, s_w0^2 I) and the
    posterior `N(mu, s_w^2 I)` with
    `mu = z M^T (M M^T + (s / s_w0)^2 I)^-1`, the maximiser of
    `N(z; w M, s^2 I) N(w; 0, s_w0^2 I)`, and s_w learned. Writing takes the
    codes one after the other: each is addressed in the memory so far, which
    then conditions on it (`kgpm.ops.kalman_write`).

    A read in the bound draws M from the written posterior and w from its own,
    and pays `kl_w` and `kl_memory` for exactly these; the latent is `w M`.

    Args:
        memory_size: K, rows.
        code_size: C, length of a code.
        observation_noise: s.
        learn_observation_noise: whether s is learned.
        address_noise: s_w0, standard deviation of an address's prior.
        num_opt_iters: updates of each written code, all from the memory
            before it, each time addressed in the memory just made.
        learn_prior: whether the prior of M is learned.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes or counts below 1, or noise that is not positive.

    Source: Wu et al., "Learning Attractor Dynamics for Generative Memory",
    NeurIPS 2018.
    """

    term_names = ("kl_w", KL_MEMORY)
    # Addresses are solved for in the memory so far.
    depends_on_order = True

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float = 1.0,
        learn_observation_noise: bool = False,
        address_noise: float = 1.0,
        num_opt_iters: int = 1,
        learn_prior: bool = True,
        **kwargs: Any,
    ) -> None:
        check_positive(address_noise=address_noise)
        check_sizes(num_opt_iters=num_opt_iters)
        super().__init__(
            memory_size,
            code_size,
            observation_noise,
            learn_observation_noise,
            learn_prior,
            **kwargs,
        )
        self.address_noise = address_noise
        self.num_opt_iters = num_opt_iters

    def build(self, input_shape: tuple | None = None) -> None:
        # In units of its prior an address is standard normal.
        self.address_log_variance = self.add_weight(
            shape=(1,),
            initializer=keras.initializers.Constant(2.0 * math.log(0.3)),
            name="address_log_variance",
        )
        super().build(input_shape)

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes codes, in their order, into a new memory.

        Args:
            codes: `[B, T, C]`.
            weights: `[B, T]`, 0 for an absent code; all 1 by default.
            seed: not used: the write draws nothing.
            training: not used.

        Returns:
            `{"mean": [B, K, C], "covariance": [B, K, K]}`.
        """
        codes = ops.cast(codes, self.compute_dtype)
        prior = self.prior(ops.shape(codes)[0])
        mean, covariance = kalman_write(
            codes,
            self.weights_of(codes, weights),
            prior["mean"],
            prior["covariance"],
            self.noise_variance,
            self._ridge,
            self.num_opt_iters,
        )
        return {"mean": mean, "covariance": covariance}

    def address(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean addresses in the memory's mean: `[B, Q, C]` to `[B, Q, K]`."""
        return self._solve(codes, memory["mean"])

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean read-out `mu R`: `[B, Q, C]` to `[B, Q, C]`."""
        return ops.matmul(self.address(codes, memory), memory["mean"])

    def sample(
        self,
        codes: Any,
        memory: dict[str, Any],
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws M and w as the bound needs them.

        Args:
            codes: `[B, Q, C]`.
            memory: as `write` returns it.
            seed: `int32[2]` or an integer.
            training: not used.

        Returns:
            `Draw` with latents w M `[B, Q, C]` and the term `kl_w` `[B, Q]`.
        """
        memory_seed, address_seed = split_seed(make_seed(seed), 2)
        drawn = self.draw(memory, memory_seed)["mean"]
        mean = self._solve(codes, drawn) / self.address_noise
        log_variance = ops.clip(self.address_log_variance, *_LOG_VARIANCE_RANGE)
        noise = normal(ops.shape(mean), address_seed, self.compute_dtype)
        w = mean + ops.exp(0.5 * log_variance) * noise
        # The constants -K/2 ln(2 pi) of both densities cancel.
        log_ratio = 0.5 * ops.sum(
            ops.square(noise) + log_variance - ops.square(w), axis=-1
        )
        latents = ops.matmul(self.address_noise * w, drawn)
        kl_w = kl_diagonal_standard(mean, log_variance)
        return Draw(latents, {"kl_w": kl_w}, log_ratio)

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Codes `w R` with w from its prior: `[B, num_samples, C]`."""
        mean = memory["mean"]
        shape = (ops.shape(mean)[0], num_samples, self.memory_size)
        address = normal(shape, seed, self.compute_dtype)
        return ops.matmul(self.address_noise * address, mean)

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln p(w) of a mean read without constants, `[B, Q]`."""
        address = self.address(codes, memory) / self.address_noise
        return 0.5 * ops.sum(ops.square(address), axis=-1)

    @property
    def _ridge(self) -> Any:
        return self.noise_variance / self.address_noise**2

    def _solve(self, codes: Any, matrix: Any) -> Any:
        # In float64: a written matrix may be nearly singular.
        address = ridge_address(
            ops.cast(codes, "float64"),
            ops.cast(matrix, "float64"),
            ops.cast(self._ridge, "float64"),
        )
        return ops.cast(address, self.compute_dtype)
