"""The approximate posterior of a memory's linear address."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.layers.memories.draw import Draw
from kgpm.ops import add_diagonal
from kgpm.ops import cholesky_solve
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import kl_precision_standard
from kgpm.ops import log_determinant
from kgpm.ops import normal
from kgpm.ops import transpose

# The learned ones start at a variance of exp(-2) (GPM) and at a standard
# deviation of 0.3 (Dynamic Kanerva Machine).
_LEARNED = {"per_slot": -2.0, "isotropic": 2.0 * math.log(0.3)}
POSTERIORS = (*_LEARNED, "analytic")

# Keeps exp(log_variance) and its inverse in float32's comfortable range.
_LOG_VARIANCE_RANGE = (-10.0, 4.0)


@keras.saving.register_keras_serializable(package="kgpm")
class AddressPosterior(keras.layers.Layer):
    """q(w | x, M) around a given mean, against the prior N(0, I).

    Args:
        memory_size: K, length of an address.
        observation_noise: s of p(z | w, M) = N(w M, s^2 I).
        posterior: `analytic`, the covariance (I + M M^T / s^2)^-1 of the
            exact posterior of w given z, `per_slot`, a learned variance for
            each slot, or `isotropic`, one learned variance for all. With T
            near K a memory may have very long rows: the analytic noise
            shrinks along them, a learned one drowns the read-out.
        shared_noise: one number for the whole batch instead of one a slot,
            code and episode, while charging for independent ones: **not a
            bound**, only to reproduce the published code.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        w_mean: `[B, Q, K]`.
        memory_mean: M, `[B, K, C]`.
        seed: `int32[2]` or an integer, by keyword.
        factor: `precision_factor(memory_mean)`, where the caller has it.

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
        check_choice("posterior", posterior, POSTERIORS)
        if shared_noise and posterior == "analytic":
            raise UserError(
                "Expected posterior='per_slot' with shared_noise=True, "
                "received posterior='analytic': the published code has no "
                "such posterior."
            )
        super().__init__(**kwargs)
        # A factor comes in float64 and stays there.
        self.autocast = False
        self.memory_size = memory_size
        self.observation_noise = observation_noise
        self.posterior = posterior
        self.shared_noise = shared_noise

    def build(self, input_shape: tuple | None = None) -> None:
        if self.posterior in _LEARNED:
            shared = self.posterior == "isotropic"
            self.w_log_variance = self.add_weight(
                shape=(1 if shared else self.memory_size,),
                initializer=keras.initializers.Constant(
                    _LEARNED[self.posterior]
                ),
                name="w_log_variance",
            )
        self.built = True

    def call(
        self, w_mean: Any, memory_mean: Any, seed: Any, factor: Any = None
    ) -> Draw:
        w_mean = ops.cast(w_mean, self.compute_dtype)
        noise = self._noise(ops.shape(w_mean), seed)
        if self.posterior == "analytic":
            if factor is None:
                factor = self.precision_factor(memory_mean)
            w, kl_w, log_q = self._analytic(w_mean, factor, noise)
        else:
            low, high = _LOG_VARIANCE_RANGE
            log_variance = ops.clip(self.w_log_variance, low, high)
            w = w_mean + ops.exp(0.5 * log_variance) * noise
            kl_w = kl_diagonal_standard(w_mean, log_variance)
            log_q = -0.5 * ops.sum(ops.square(noise) + log_variance, axis=-1)
        # The constants -K/2 ln(2 pi) of both densities cancel.
        log_ratio = -0.5 * ops.sum(ops.square(w), axis=-1) - log_q
        return Draw(w, {"kl_w": kl_w}, log_ratio)

    def _noise(self, shape: tuple, seed: Any) -> Any:
        if self.shared_noise:
            single = normal((), seed, self.compute_dtype)
            return ops.broadcast_to(single, shape)
        return normal(shape, seed, self.compute_dtype)

    def precision_factor(self, memory_mean: Any) -> Any:
        """Cholesky factor L of `I + M M^T / s^2`, `[B, K, K]`, float64."""
        # In float64: where T = K, M M^T spans more than float32's digits.
        memory_mean = ops.cast(memory_mean, "float64")
        gram = ops.matmul(memory_mean, transpose(memory_mean))
        precision = add_diagonal(gram / self.observation_noise**2, 1.0)
        return ops.cholesky(precision)

    def exact_mean(self, codes: Any, memory_mean: Any, factor: Any) -> Any:
        """Mean of the exact posterior, `z M^T (M M^T + s^2 I)^-1`.

        Args:
            codes: z, `[B, Q, C]`.
            memory_mean: M, `[B, K, C]`.
            factor: `precision_factor(memory_mean)`.

        Returns:
            `[B, Q, K]`.
        """
        right = ops.matmul(
            ops.cast(memory_mean, "float64"),
            transpose(ops.cast(codes, "float64")),
        )
        address = transpose(cholesky_solve(factor, right))
        return ops.cast(address / self.observation_noise**2, self.compute_dtype)

    def _analytic(self, w_mean: Any, factor: Any, noise: Any) -> tuple:
        """Covariance (L L^T)^-1 with the factor L of the precision."""
        # L^-T noise has covariance (L L^T)^-1.
        spread = ops.solve_triangular(
            transpose(factor),
            transpose(ops.cast(noise, "float64")),
            lower=False,
        )
        half_log_precision = ops.cast(
            0.5 * log_determinant(factor), w_mean.dtype
        )
        half_square = 0.5 * ops.sum(ops.square(noise), axis=-1)
        log_q = half_log_precision[..., None] - half_square
        kl_w = kl_precision_standard(ops.cast(w_mean, "float64"), factor)
        w = w_mean + ops.cast(transpose(spread), w_mean.dtype)
        return w, ops.cast(kl_w, w_mean.dtype), log_q

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            memory_size=self.memory_size,
            observation_noise=self.observation_noise,
            posterior=self.posterior,
            shared_noise=self.shared_noise,
        )
        return config
