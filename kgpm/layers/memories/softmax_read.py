"""A read that mixes the slots of a memory by a softmax of its address."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.configuration import Configured
from kgpm.errors import check_positive
from kgpm.errors import check_sizes
from kgpm.layers.memories.memory import Draw
from kgpm.ops import IMPOSSIBLE
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import log_density_diagonal
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import slot_exponents
from kgpm.ops import split_seed

# Keeps exp(log_variance) and its inverse in float32's comfortable range.
_LOG_VARIANCE_RANGE = (-10.0, 4.0)


@keras.saving.register_keras_serializable(package="kgpm")
class SoftmaxRead(Configured, keras.layers.Layer):
    """Codes `softmax(beta w) M + s e` of a Gaussian address w.

        p(w) = N(0, I_K),   q(w | x, M) = N(gamma r, diag(v)),

    the softmax over the slots that hold something. r are the shares that the
    slots have in the code z of x if each is N(m_k, s^2 I): near one for the
    slot that holds z. v is one learned variance for the slot that r means and
    another for the rest, `ln v = r ln v_1 + (1 - r) ln v_0`; beta and gamma
    are learned too. Nothing in the decoder's input but (w, e, M): the bound is
    one on log p(x | M), however the softmax is shaped.

    It tells a slot from the noise around it, so an address may be coarse: what
    it costs is that one of K normal numbers is well above the others.

    Args:
        memory_size: K, slots.
        code_size: C, length of a code.
        observation_noise: s, in z drawn on both sides, which costs nothing.
        beta: where the inverse temperature starts.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, or a beta or noise that is not positive.
    """

    term_names = ("kl_w",)

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float = 0.5,
        beta: float = 4.0,
        **kwargs: Any,
    ) -> None:
        check_sizes(memory_size=memory_size, code_size=code_size)
        check_positive(observation_noise=observation_noise, beta=beta)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.memory_size = memory_size
        self.code_size = code_size
        self.observation_noise = observation_noise
        self.beta = beta

    def build(self, input_shape: tuple | None = None) -> None:
        # gamma starts where the largest of 32 normal numbers would be.
        starts = {
            "log_beta": math.log(self.beta),
            "log_gamma": math.log(3.0),
            "w_log_variance": -1.0,
            "w_log_variance_of_others": 0.0,
        }
        for name, value in starts.items():
            weight = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(value),
                name=name,
            )
            setattr(self, name, weight)
        self.built = True

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        """A memory with what its draws share: as it is."""
        return memory

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """The code at the mean address: `[B, Q, C]` to `[B, Q, C]`."""
        return self._mix(self._posterior(codes, memory)[0], memory)

    def sample(self, codes: Any, memory: dict[str, Any], seed: Any) -> Draw:
        """Draws read-outs as the bound needs them.

        Args:
            codes: `[B, Q, C]`.
            memory: of a `SlotMemory`.
            seed: `int32[2]` or an integer.

        Returns:
            `Draw` with latents z `[B, Q, C]` and the term `kl_w` `[B, Q]`.
        """
        address_seed, code_seed = split_seed(make_seed(seed), 2)
        w_mean, log_variance = self._posterior(codes, memory)
        noise = normal(ops.shape(w_mean), address_seed, self.compute_dtype)
        w = w_mean + ops.exp(0.5 * log_variance) * noise
        standard = ops.zeros_like(w)
        log_ratio = log_density_diagonal(
            w, standard, standard
        ) - log_density_diagonal(w, w_mean, log_variance)
        kl_w = kl_diagonal_standard(w_mean, log_variance)
        return Draw(
            self._noisy(w, memory, code_seed), {"kl_w": kl_w}, log_ratio
        )

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Codes of addresses from N(0, I): `[B, num_samples, C]`."""
        address_seed, code_seed = split_seed(make_seed(seed), 2)
        batch = ops.shape(memory["mean"])[0]
        shape = (batch, num_samples, self.memory_size)
        w = normal(shape, address_seed, self.compute_dtype)
        return self._noisy(w, memory, code_seed)

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln p(w) of a mean read without constants, `[B, Q]`."""
        w_mean = self._posterior(codes, memory)[0]
        return 0.5 * ops.sum(ops.square(w_mean), axis=-1)

    def _posterior(self, codes: Any, memory: dict[str, Any]) -> tuple:
        exponents = slot_exponents(
            codes, memory["mean"], memory["count"], self.observation_noise
        )
        share = ops.softmax(exponents, axis=-1)
        low, high = _LOG_VARIANCE_RANGE
        log_variance = ops.clip(
            share * self.w_log_variance
            + (1.0 - share) * self.w_log_variance_of_others,
            low,
            high,
        )
        return ops.exp(self.log_gamma) * share, log_variance

    def _mix(self, w: Any, memory: dict[str, Any]) -> Any:
        count = memory["count"]
        if len(count.shape) == 2:
            count = count[:, None]
        logits = ops.where(count > 0.0, ops.exp(self.log_beta) * w, IMPOSSIBLE)
        return ops.matmul(ops.softmax(logits, axis=-1), memory["mean"])

    def _noisy(self, w: Any, memory: dict[str, Any], seed: Any) -> Any:
        codes = self._mix(w, memory)
        noise = normal(ops.shape(codes), seed, self.compute_dtype)
        return codes + self.observation_noise * noise
