"""A memory with a matrix-normal density, the base of those that are drawn."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers.memories.memory import Memory
from kgpm.ops import kl_matrix_normal
from kgpm.ops import normal
from kgpm.ops import sample_matrix_normal

# Keeps learned variances and their inverses far from the ends of float32.
_LOG_VARIANCE_RANGE = (-12.0, 12.0)


class MatrixNormalMemory(Memory):
    """Base of the memories `M ~ MN(R, U, I)` of K x C numbers.

    The prior is `MN(R0, u0 I, I)` with R0 and ln u0 learned; codes are
    observed with the noise `N(0, s^2 I)`. A memory is a value, never an
    attribute: `{"mean": [B, K, C], "covariance": [B, K, K]}`.

    Args:
        memory_size: K, rows; they may be more than C, for what a read draws
            is paid for.
        code_size: C, length of a row.
        observation_noise: s, or where it starts if it is learned.
        learn_observation_noise: whether s is learned.
        learn_prior: whether R0 and u0 are learned, or stay as they start.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, or noise that is not positive.
    """

    # Every write starts from the prior.
    prior_is_trained = True

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float,
        learn_observation_noise: bool,
        learn_prior: bool,
        **kwargs: Any,
    ) -> None:
        check_sizes(memory_size=memory_size, code_size=code_size)
        check_positive(observation_noise=observation_noise)
        least, most = (math.exp(0.5 * end) for end in _LOG_VARIANCE_RANGE)
        if not least < observation_noise < most:
            raise UserError(
                f"Expected observation_noise between {least:.2g} and "
                f"{most:.3g}, received {observation_noise:g}."
            )
        super().__init__(**kwargs)
        self.memory_size = memory_size
        self.code_size = code_size
        self.observation_noise = observation_noise
        self.learn_observation_noise = learn_observation_noise
        self.learn_prior = learn_prior

    @property
    def mean_stddev(self) -> float:
        """Standard deviation of the truncated normal that R0 starts from.

        Not 0 where addresses are solved for: nothing would ever be written.
        """
        return 1.0

    def build(self, input_shape: tuple | None = None) -> None:
        self.memory_mean = self.add_weight(
            shape=(self.memory_size, self.code_size),
            initializer=keras.initializers.TruncatedNormal(
                stddev=self.mean_stddev
            ),
            trainable=self.learn_prior,
            name="memory_mean",
        )
        self.memory_log_variance = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=self.learn_prior,
            name="memory_log_variance",
        )
        if self.learn_observation_noise:
            self.noise_log_variance = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(
                    2.0 * math.log(self.observation_noise)
                ),
                name="noise_log_variance",
            )
        self.built = True

    def memory_floats(self, episode_length: int) -> int:
        return self.memory_size * (self.code_size + self.memory_size)

    @property
    def noise_variance(self) -> Any:
        """s^2, a scalar tensor."""
        if not self.learn_observation_noise:
            return ops.convert_to_tensor(
                self.observation_noise**2, self.compute_dtype
            )
        return ops.exp(ops.clip(self.noise_log_variance, *_LOG_VARIANCE_RANGE))

    @property
    def prior_variance(self) -> Any:
        """u0, a scalar tensor."""
        return ops.exp(ops.clip(self.memory_log_variance, *_LOG_VARIANCE_RANGE))

    def prior(self, batch_size: Any) -> dict[str, Any]:
        identity = ops.eye(self.memory_size, dtype=self.compute_dtype)
        memory = {
            "mean": ops.convert_to_tensor(self.memory_mean),
            "covariance": self.prior_variance * identity,
        }
        return {
            name: ops.repeat(value[None], batch_size, axis=0)
            for name, value in memory.items()
        }

    def kl(self, memory: dict[str, Any]) -> Any:
        prior = self.prior(ops.shape(memory["mean"])[0])
        return kl_matrix_normal(
            memory["mean"],
            memory["covariance"],
            prior["mean"],
            prior["covariance"],
        )

    def draw(self, memory: dict[str, Any], seed: Any) -> dict[str, Any]:
        """M drawn from MN(R, U, I), one for each episode.

        Returns:
            `{"mean": [B, K, C]}`, a memory that is a point: without a
            covariance it stays as it is when it is drawn from.
        """
        mean = memory["mean"]
        if "covariance" not in memory:
            return memory
        noise = normal(ops.shape(mean), seed, self.compute_dtype)
        return {"mean": sample_matrix_normal(mean, memory["covariance"], noise)}
