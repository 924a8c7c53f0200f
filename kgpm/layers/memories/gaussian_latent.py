"""The latent of a variational autoencoder, in the place of a memory."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_sizes
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.memory import Memory
from kgpm.layers.networks.gaussian_head import GaussianHead
from kgpm.ops import kl_diagonal_standard
from kgpm.ops import log_density_diagonal
from kgpm.ops import make_seed
from kgpm.ops import normal


@keras.saving.register_keras_serializable(package="kgpm")
class GaussianLatent(Memory):
    """`p(z) = N(0, I)` and a diagonal Gaussian `q(z | x)`; stores nothing.

    Args:
        code_size: C, length of a code and of a latent.
        hidden_size: units of the network from codes to `q(z | x)`.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1.

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
    """

    term_names = ("kl_z",)
    stores = False
    rows_are_latents = False

    def __init__(
        self, code_size: int, hidden_size: int = 128, **kwargs: Any
    ) -> None:
        check_sizes(code_size=code_size, hidden_size=hidden_size)
        super().__init__(**kwargs)
        self.code_size = code_size
        self.posterior = GaussianHead(
            code_size, hidden_size, dtype=self.dtype_policy, name="posterior"
        )

    def build(self, input_shape: tuple | None = None) -> None:
        self.posterior.build((None, None, self.code_size))
        self.built = True

    def prior(self, batch_size: Any) -> None:
        return None

    def write(
        self,
        codes: Any,
        weights: Any = None,
        seed: Any = None,
        training: bool = False,
    ) -> None:
        return None

    def read(self, codes: Any, memory: Any = None) -> Any:
        """The mean of q(z | x), `[..., C]`."""
        return self.posterior(codes).mean

    def sample(
        self,
        codes: Any,
        memory: Any,
        seed: Any,
        training: bool = False,
        weights: Any = None,
    ) -> Draw:
        """Draws z ~ q(z | x): latents `[..., C]` and the term `kl_z`."""
        posterior = self.posterior(codes)
        latents = posterior.sample(make_seed(seed))
        standard = ops.zeros_like(latents)
        log_ratio = log_density_diagonal(
            latents, standard, standard
        ) - log_density_diagonal(latents, *posterior)
        return Draw(
            latents, {"kl_z": kl_diagonal_standard(*posterior)}, log_ratio
        )

    def sample_prior(self, memory: Any, num_samples: int, seed: Any) -> Any:
        """Draws of N(0, I), `[1, num_samples, C]`."""
        shape = (1, num_samples, self.code_size)
        return normal(shape, seed, self.compute_dtype)

    def latents_of(self, codes: Any) -> Any:
        return self.read(codes)

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        """-ln p(z) of the mean without constants, `[..., Q]`."""
        return 0.5 * ops.sum(ops.square(self.read(codes)), axis=-1)
