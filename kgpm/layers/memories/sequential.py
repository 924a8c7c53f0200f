"""A memory that is written image by image, by the Kalman update."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_not_negative
from kgpm.layers.memories.matrix_normal import MatrixNormalMemory
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.pseudo_inverse import AddressPosterior
from kgpm.ops import KL_MEMORY
from kgpm.ops import kalman_write
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import pseudo_inverse
from kgpm.ops import split_seed
from kgpm.ops import times_pseudo_inverse
from kgpm.ops import with_noise


@keras.saving.register_keras_serializable(package="kgpm")
class SequentialMemory(MatrixNormalMemory):
    """A matrix-normal memory written in order and read as GPM's is.

    The write of the Dynamic Kanerva Machine beside the read of
    `PseudoInverseMemory`: each code is addressed in the memory so far, which
    then conditions on it (`kgpm.ops.kalman_write`). The posterior has a
    density, so that a read in the bound draws M from it and pays `kl_memory`,
    and then w and z as in `PseudoInverseMemory`.

    Args:
        memory_size: K, rows, at most `code_size - 1`: mean reads project.
        code_size: C, length of a code.
        observation_noise: s of p(z | w, M), in writing and reading alike.
        write_noise: standard deviation of the noise on written codes in
            training, a regulariser; none at inference.
        posterior: covariance of q(w | x, M), see `AddressPosterior`.
        learn_prior: whether the prior of M is learned.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: K >= C, sizes below 1, or noise that is out of range.

    Source: Wu et al., "Learning Attractor Dynamics for Generative Memory",
    NeurIPS 2018, for the write; Pham et al., ICLR 2022, for the read.
    """

    term_names = ("kl_w", KL_MEMORY)
    depends_on_order = True

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        observation_noise: float = 0.5,
        write_noise: float = 0.5,
        posterior: str = "analytic",
        learn_prior: bool = True,
        **kwargs: Any,
    ) -> None:
        check_not_negative(write_noise=write_noise)
        super().__init__(
            memory_size,
            code_size,
            observation_noise,
            learn_observation_noise=False,
            learn_prior=learn_prior,
            **kwargs,
        )
        if memory_size >= code_size:
            raise UserError(
                "Expected memory_size < code_size (with as many rows as "
                "code dimensions a mean read returns its query), received "
                f"memory_size={memory_size}, code_size={code_size}."
            )
        self.write_noise = write_noise
        self.address_posterior = AddressPosterior(
            memory_size,
            observation_noise,
            posterior,
            dtype=self.dtype_policy,
            name="address_posterior",
        )

    @property
    def mean_stddev(self) -> float:
        """Rows of length one give addresses of the scale of their prior."""
        return self.code_size**-0.5

    def build(self, input_shape: tuple | None = None) -> None:
        self.address_posterior.build()
        super().build(input_shape)

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes codes, in their order, into a new memory.

        Returns:
            `{"mean": [B, K, C], "covariance": [B, K, K]}`.
        """
        codes = ops.cast(codes, self.compute_dtype)
        if training:
            codes = with_noise(codes, self.write_noise, seed)
        prior = self.prior(ops.shape(codes)[0])
        mean, covariance = kalman_write(
            codes,
            self.weights_of(codes, weights),
            prior["mean"],
            prior["covariance"],
            self.observation_noise**2,
        )
        return {"mean": mean, "covariance": covariance}

    def recall(self, memory: dict[str, Any]) -> dict[str, Any]:
        """A memory with R^+, `"inverse"` `[B, C, K]`, for many mean reads."""
        if "inverse" in memory:
            return memory
        return {**memory, "inverse": pseudo_inverse(memory["mean"])}

    def address(self, codes: Any, memory: dict[str, Any]) -> Any:
        """`w = z R^+`: `[B, Q, C]` to `[B, Q, K]`."""
        codes = ops.cast(codes, self.compute_dtype)
        if "inverse" in memory:
            return ops.matmul(codes, memory["inverse"])
        return times_pseudo_inverse(codes, memory["mean"])

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean read-out `z R^+ R`: `[B, Q, C]` to `[B, Q, C]`."""
        return ops.matmul(self.address(codes, memory), memory["mean"])

    def sample(
        self,
        codes: Any,
        memory: dict[str, Any],
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws M, w ~ q(w | x, M) and z ~ p(z | w, M).

        Returns:
            `Draw` with latents z `[B, Q, C]` and the term `kl_w` `[B, Q]`.
        """
        codes = ops.cast(codes, self.compute_dtype)
        seeds = split_seed(make_seed(seed), 3)
        mean = self.draw(memory, seeds[2])["mean"]
        draw = self.address_posterior(codes, mean, seeds[0])
        latents = with_noise(
            ops.matmul(draw.latents, mean), self.observation_noise, seeds[1]
        )
        return draw._replace(latents=latents)

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Codes `w R` with w ~ N(0, I): `[B, num_samples, C]`."""
        mean = memory["mean"]
        shape = (ops.shape(mean)[0], num_samples, self.memory_size)
        return ops.matmul(normal(shape, seed, self.compute_dtype), mean)

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln p(w) of a mean read without constants, `[B, Q]`."""
        address = self.address(codes, memory)
        return 0.5 * ops.sum(ops.square(address), axis=-1)
