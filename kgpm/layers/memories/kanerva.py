"""The memory of the Kanerva Machine."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.memories.matrix_normal import MatrixNormalMemory
from kgpm.layers.memories.memory import Draw
from kgpm.layers.networks.gaussian_head import GaussianHead
from kgpm.ops import KL_MEMORY
from kgpm.ops import batch_write
from kgpm.ops import fold_in
from kgpm.ops import kl_diagonal
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import log_density_diagonal
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import split_seed


@keras.saving.register_keras_serializable(package="kgpm")
class KanervaMemory(MatrixNormalMemory):
    """A matrix-normal memory with learned addresses.

    Generative: a key `y ~ N(0, I)` of S numbers passes a network to `b`; the
    address is `w = A b`, A `[K, S]` learned with rows of length one; the
    latent is `z ~ N(w M, s^2 I)`.

    Inference, from codes h: `q(y | h)`, the write's `q(z | h)`, and the
    read's `q(z | h, w M)`, which also sees what the memory predicts. Writing
    draws one y and z for each code and conditions M on them exactly, in one
    solve (`kgpm.ops.batch_write`). Reading draws y again, from the same
    `q(y | h)`: given M, a y shared with the write would be distributed as
    q(y | h, M), and `kl_y` would miss the information between them in the
    bound conditional on M (the full bound would stay valid).

    A read in the bound draws M, y and z and pays `kl_memory`, `kl_y` and
    `kl_z` for exactly these.

    Args:
        memory_size: K, rows.
        code_size: C, length of a code h, of a latent z and of a row.
        key_size: S, length of a key.
        hidden_size: units of the ReLU layer in each network.
        observation_noise: s, or where it starts.
        learn_observation_noise: whether s is learned.
        learn_prior: whether the prior of M is learned.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, or noise that is not positive.

    Source: Wu et al., "The Kanerva Machine", ICLR 2018.
    """

    term_names = ("kl_z", "kl_y", KL_MEMORY)

    def __init__(
        self,
        memory_size: int,
        code_size: int,
        key_size: int = 50,
        hidden_size: int = 128,
        observation_noise: float = 1.0,
        learn_observation_noise: bool = True,
        learn_prior: bool = True,
        **kwargs: Any,
    ) -> None:
        check_sizes(key_size=key_size)
        super().__init__(
            memory_size,
            code_size,
            observation_noise,
            learn_observation_noise,
            learn_prior,
            **kwargs,
        )
        self.key_size = key_size
        self.hidden_size = hidden_size
        policy = self.dtype_policy

        def head(size: int, scale: float, name: str) -> GaussianHead:
            return GaussianHead(
                size, hidden_size, initial_scale=scale, dtype=policy, name=name
            )

        # Keys as noisy as their prior say nothing of the image: the memory
        # would return noise, and learning would give the keys up.
        self.key_head = head(key_size, 0.2, "key_head")
        self.write_head = head(code_size, 1.0, "write_head")
        self.read_head = head(code_size, 1.0, "read_head")
        self.key_network = [
            keras.layers.Dense(
                hidden_size, activation="relu", dtype=policy, name="key_hidden"
            ),
            keras.layers.Dense(key_size, dtype=policy, name="key_output"),
        ]

    @property
    def mean_stddev(self) -> float:
        """An address has K numbers of size one: w R0 starts at z's scale."""
        return self.memory_size**-0.5

    def build(self, input_shape: tuple | None = None) -> None:
        self.addresses = self.add_weight(
            shape=(self.memory_size, self.key_size),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="addresses",
        )
        self.key_head.build((None, None, self.code_size))
        self.write_head.build((None, None, self.code_size))
        self.read_head.build((None, None, 2 * self.code_size))
        self.key_network[0].build((None, None, self.key_size))
        self.key_network[1].build((None, None, self.hidden_size))
        super().build(input_shape)

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes codes, whatever their order, into a new memory.

        Args:
            codes: h, `[B, T, C]`.
            weights: `[B, T]`, 0 for an absent code; all 1 by default.
            seed: of the draws of y and z; `None` takes their means, for a
                write without noise. A bound needs the draws.
            training: not used.

        Returns:
            `{"mean": [B, K, C], "covariance": [B, K, K]}`.
        """
        codes = ops.cast(codes, self.compute_dtype)
        key, latent = self.key_head(codes), self.write_head(codes)
        if seed is None:
            keys, latents = key.mean, latent.mean
        else:
            # Apart from the streams of a read that is given the same seed.
            key_seed, latent_seed = split_seed(fold_in(seed, 1), 2)
            keys, latents = key.sample(key_seed), latent.sample(latent_seed)
        identity = ops.eye(self.memory_size, dtype=self.compute_dtype)
        mean, covariance = batch_write(
            latents,
            self.address(keys),
            self.weights_of(codes, weights),
            self.memory_mean,
            identity / self.prior_variance,
            self.noise_variance,
        )
        return {"mean": mean, "covariance": covariance}

    def address(self, keys: Any) -> Any:
        """`w = A b(y)`: keys `[B, Q, S]` to addresses `[B, Q, K]`."""
        for layer in self.key_network:
            keys = layer(keys)
        rows = ops.convert_to_tensor(self.addresses)
        rows = rows / ops.sqrt(
            ops.sum(ops.square(rows), axis=1, keepdims=True) + 1e-12
        )
        return ops.matmul(keys, ops.transpose(rows))

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean latents without noise: codes `[B, Q, C]` to `[B, Q, C]`."""
        codes = ops.cast(codes, self.compute_dtype)
        predicted = self._predict(codes, memory)
        return self._posterior(codes, predicted).mean

    def sample(
        self,
        codes: Any,
        memory: dict[str, Any],
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws M, y and z as the bound needs them.

        Args:
            codes: h, `[B, Q, C]`.
            memory: as `write` returns it.
            seed: `int32[2]` or an integer.
            training: not used.

        Returns:
            `Draw` with latents z `[B, Q, C]` and the terms `kl_z` and `kl_y`,
            each `[B, Q]`.
        """
        codes = ops.cast(codes, self.compute_dtype)
        memory_seed, key_seed, latent_seed = split_seed(make_seed(seed), 3)
        drawn = self.draw(memory, memory_seed)["mean"]
        key = self.key_head(codes)
        keys = key.sample(key_seed)
        predicted = ops.matmul(self.address(keys), drawn)
        posterior = self._posterior(codes, predicted)
        latents = posterior.sample(latent_seed)
        log_variance = ops.log(self.noise_variance) + ops.zeros_like(predicted)
        terms = {
            "kl_z": kl_diagonal(
                posterior.mean,
                posterior.log_variance,
                predicted,
                log_variance,
            ),
            "kl_y": kl_diagonal_standard(*key),
        }
        standard = ops.zeros_like(keys)
        log_ratio = (
            log_density_diagonal(latents, predicted, log_variance)
            + log_density_diagonal(keys, standard, standard)
            - log_density_diagonal(latents, *posterior)
            - log_density_diagonal(keys, *key)
        )
        return Draw(latents, terms, log_ratio)

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Mean latents `w R` of keys from N(0, I): `[B, num_samples, C]`."""
        mean = memory["mean"]
        shape = (ops.shape(mean)[0], num_samples, self.key_size)
        keys = normal(shape, seed, self.compute_dtype)
        return ops.matmul(self.address(keys), mean)

    def latents_of(self, codes: Any) -> Any:
        """Mean latents of codes `[B, Q, C]` without a memory."""
        return self.write_head(ops.cast(codes, self.compute_dtype)).mean

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln p(y) p(z | y, R) of a mean read without constants, `[B, Q]`."""
        codes = ops.cast(codes, self.compute_dtype)
        keys = self.key_head(codes).mean
        predicted = self._predict(codes, memory)
        error = self._posterior(codes, predicted).mean - predicted
        return 0.5 * (
            ops.sum(ops.square(keys), axis=-1)
            + ops.sum(ops.square(error), axis=-1) / self.noise_variance
        )

    def _predict(self, codes: Any, memory: dict[str, Any]) -> Any:
        keys = self.key_head(codes).mean
        return ops.matmul(self.address(keys), memory["mean"])

    def _posterior(self, codes: Any, predicted: Any) -> Any:
        return self.read_head(ops.concatenate([codes, predicted], axis=-1))
