"""A memory that is read by sampled keys, the base of Kanerva++'s."""

import abc
from typing import Any

from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_sizes
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.memory import Memory
from kgpm.layers.networks.gaussian_head import DiagonalGaussian
from kgpm.layers.networks.gaussian_head import GaussianHead
from kgpm.ops import kl_diagonal
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import log_density_diagonal
from kgpm.ops import make_seed
from kgpm.ops import normal
from kgpm.ops import split_seed

# (s, x, y): the scale and the place of a window.
KEY_SIZE = 3


class KeyedMemory(Memory):
    """Base of the memories with keys y, a latent z and its learned prior.

    Generative: K keys `y_k ~ N(0, I_3)`; `z ~ p(z | y, M)`, a diagonal
    Gaussian that a subclass predicts from the memory. Inference, from an
    image's code h: `q(y | h)` and `q(z | h)`, which does not see the memory.
    The memory is a deterministic function of the mean code of an episode and
    has no density: the bound is conditional on it.

    A subclass has `write_mean` and `latent_prior`.

    Args:
        code_size: length of a code.
        latent_size: length of a latent.
        num_reads: K, keys of a read.
        hidden_size: units of the networks of keys and latents.
        activation: of these networks; `linear` makes them deep linear.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1.

    Source: Ramapuram et al., "Kanerva++", ICLR 2021.
    """

    term_names = ("kl_z", "kl_y")
    # Cells and mean codes are no latents.
    rows_are_latents = False

    def __init__(
        self,
        code_size: int,
        latent_size: int,
        num_reads: int = 2,
        hidden_size: int = 512,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        check_choice("activation", activation, ("relu", "linear"))
        check_sizes(
            code_size=code_size, latent_size=latent_size, num_reads=num_reads
        )
        super().__init__(**kwargs)
        self.code_size = code_size
        self.latent_size = latent_size
        self.num_reads = num_reads
        self.hidden_size = hidden_size
        self.activation = activation

        def head(size: int, name: str) -> GaussianHead:
            return GaussianHead(
                size,
                hidden_size,
                num_hidden=2,
                activation=activation,
                spectral=True,
                dtype=self.dtype_policy,
                name=name,
            )

        self.key_head = head(KEY_SIZE * num_reads, "key_head")
        self.posterior_head = head(latent_size, "posterior_head")

    def build(self, input_shape: tuple | None = None) -> None:
        self.key_head.build((None, None, self.code_size))
        self.posterior_head.build((None, None, self.code_size))
        self.built = True

    @abc.abstractmethod
    def write_mean(self, code: Any) -> dict[str, Any]:
        """The memory of episodes with these mean codes, `[B, code_size]`."""

    @abc.abstractmethod
    def latent_prior(
        self, memory: dict[str, Any], keys: Any
    ) -> DiagonalGaussian:
        """p(z | y, M), `[B, Q, latent_size]`, of keys `[B, Q, K, 3]`."""

    def prior(self, batch_size: Any) -> dict[str, Any]:
        """The memory of an empty episode, for each of B."""
        return self.write_mean(
            ops.zeros((batch_size, self.code_size), self.compute_dtype)
        )

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> dict[str, Any]:
        """Writes codes, whatever their order, into a new memory.

        Args:
            codes: `[B, T, code_size]`.
            weights: `[B, T]`, 0 for an absent code; all 1 by default.
            seed: not used: the write draws nothing.
            training: not used.

        Returns:
            The memory, a dict of tensors with leading axis B.
        """
        codes = ops.cast(codes, self.compute_dtype)
        if weights is None:
            return self.write_mean(ops.mean(codes, axis=1))
        weights = ops.cast(weights, self.compute_dtype)[..., None]
        count = ops.maximum(ops.sum(weights, axis=1), 1e-12)
        return self.write_mean(ops.sum(weights * codes, axis=1) / count)

    def read(self, codes: Any, memory: dict[str, Any]) -> Any:
        """Mean latents of p(z | y, M) at the mean keys of codes `[B, Q, C]`.

        From the memory alone: q(z | h) would return the query.
        """
        return self.latent_prior(memory, self.keys_of(codes)).mean

    def keys_of(self, codes: Any) -> Any:
        """Mean keys `[B, Q, K, 3]` of codes `[B, Q, code_size]`."""
        return self._heads(self.key_head(codes).mean)

    def sample(
        self,
        codes: Any,
        memory: dict[str, Any],
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws y and z as the bound needs them.

        Args:
            codes: h, `[B, Q, code_size]`.
            memory: as `write` returns it.
            seed: `int32[2]` or an integer.
            training: whether spectral norms are followed.

        Returns:
            `Draw` with latents z `[B, Q, latent_size]` and the terms `kl_z`
            and `kl_y`, each `[B, Q]`.
        """
        key_seed, latent_seed = split_seed(make_seed(seed), 2)
        key = self.key_head(codes, training=training)
        keys = key.sample(key_seed)
        prior = self.latent_prior(memory, self._heads(keys))
        posterior = self.posterior_head(codes, training=training)
        latents = posterior.sample(latent_seed)
        standard = ops.zeros_like(keys)
        log_ratio = (
            log_density_diagonal(latents, *prior)
            + log_density_diagonal(keys, standard, standard)
            - log_density_diagonal(latents, *posterior)
            - log_density_diagonal(keys, *key)
        )
        terms = {
            "kl_z": kl_diagonal(
                posterior.mean,
                posterior.log_variance,
                prior.mean,
                prior.log_variance,
            ),
            "kl_y": kl_diagonal_standard(*key),
        }
        return Draw(latents, terms, log_ratio)

    def sample_keys(self, batch_size: Any, num_samples: int, seed: Any) -> Any:
        """Keys from N(0, I), `[B, num_samples, K, 3]`."""
        shape = (batch_size, num_samples, self.num_reads, KEY_SIZE)
        return normal(shape, seed, self.compute_dtype)

    def sample_at(self, memory: dict[str, Any], keys: Any, seed: Any) -> Any:
        """Latents drawn from p(z | y, M) at keys `[B, N, K, 3]`.

        Raises:
            UserError: keys of another shape.
        """
        keys = ops.convert_to_tensor(keys, self.compute_dtype)
        episodes = next(iter(memory.values())).shape[0]
        expected = (self.num_reads, KEY_SIZE)
        if (
            len(keys.shape) != 4
            or tuple(keys.shape[2:]) != expected
            or None not in (episodes, keys.shape[0])
            and keys.shape[0] != episodes
        ):
            raise UserError(
                f"Expected keys of shape [B, N, {self.num_reads}, {KEY_SIZE}]"
                f" for the B={episodes} memories, received {list(keys.shape)}."
            )
        return self.latent_prior(memory, keys).sample(make_seed(seed))

    def sample_prior(
        self, memory: dict[str, Any], num_samples: int, seed: Any
    ) -> Any:
        """Latents of keys from N(0, I): `[B, num_samples, latent_size]`."""
        key_seed, latent_seed = split_seed(make_seed(seed), 2)
        batch_size = ops.shape(next(iter(memory.values())))[0]
        keys = self.sample_keys(batch_size, num_samples, key_seed)
        return self.sample_at(memory, keys, latent_seed)

    def latents_of(self, codes: Any) -> Any:
        """Mean latents of codes `[B, Q, code_size]` without a memory."""
        return self.posterior_head(codes).mean

    def latent_energy(self, codes: Any, memory: dict[str, Any]) -> Any:
        """-ln p(y) p(z | y, M) of a mean read without constants, `[B, Q]`."""
        keys = self.keys_of(codes)
        prior = self.latent_prior(memory, keys)
        return 0.5 * (
            ops.sum(ops.square(keys), axis=(-2, -1))
            + ops.sum(prior.log_variance, axis=-1)
        )

    def diagnostics(self, codes: Any, memory: dict[str, Any]) -> dict[str, Any]:
        """Signs of collapse: of keys, of windows and of the prior's scale.

        Args:
            codes: `[B, Q, code_size]`.
            memory: as `write` returns it.

        Returns:
            `kl_y_read_<k>`, nats that the k-th key costs on average, and
            `least_prior_scale`, of p(z | y, M) at the mean keys.
        """
        key = self.key_head(codes)
        keys = self._heads(key.mean)
        per_read = kl_diagonal_standard(keys, self._heads(key.log_variance))
        nats = ops.mean(per_read, axis=(0, 1))
        prior = self.latent_prior(memory, keys)
        scalars = {
            f"kl_y_read_{index + 1}": nats[index]
            for index in range(self.num_reads)
        }
        scalars["least_prior_scale"] = ops.exp(
            0.5 * ops.min(prior.log_variance)
        )
        return scalars

    def _heads(self, keys: Any) -> Any:
        shape = ops.shape(keys)[:2]
        return ops.reshape(keys, (*shape, self.num_reads, KEY_SIZE))
