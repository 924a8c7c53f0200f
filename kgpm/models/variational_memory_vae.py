"""The external-memory VAE with an address that is drawn and paid for."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_positive
from kgpm.models.grid_model import Passed
from kgpm.models.memory_vae import MemoryVAE
from kgpm.ops import categorical
from kgpm.ops import gumbel


@keras.saving.register_keras_serializable(package="kgpm")
class VariationalMemoryVAE(MemoryVAE):
    """`MemoryVAE` made a variational autoencoder.

        p(a_j) = 1 / K for each place j of the grid,
        q(a_j | x) = softmax_i(beta k(z_j, e_i)),
        p(x | a) = likelihood(decoder(e_a1, ..., e_aP))

    Addresses are drawn from q itself, one row a place, and
    `kl_a = sum_j (ln K - H(q_j))` is charged: `nll + kl_a` bounds
    `-log p(x)`. Training follows the draw through the relaxed one that it is
    the arg max of (straight-through Gumbel softmax): the bound is exact, its
    gradient is not.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        temperature: of the relaxed draw.
        **kwargs: of `MemoryVAE`.

    Raises:
        UserError: arguments that make no model.

    Source: ours; a discrete VAE (Jang et al., "Categorical Reparameterization
    with Gumbel-Softmax", ICLR 2017) with the addresses of `MemoryVAE`.
    """

    term_names = ("nll", "kl_a")
    has_prior = True
    draws_latents = True
    why_no_bound = ""

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(image_shape, **kwargs)
        self.temperature = temperature

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Passed:
        log_weights = self.memory.log_weights(vectors)
        noisy = log_weights + gumbel(ops.shape(log_weights), seed)
        relaxed = ops.softmax(noisy / self.temperature, axis=-1)
        # The arg max of a relaxed draw is a draw from q.
        index = ops.argmax(relaxed, axis=-1)
        drawn = ops.one_hot(index, self.memory_size)
        chosen = relaxed + ops.stop_gradient(drawn - relaxed)
        figures = self.address_figures(log_weights, drawn)
        uniform = self.num_vectors * self.log_memory_size
        log_posterior = ops.sum(drawn * log_weights, axis=(-2, -1))
        return Passed(
            self.memory.read(chosen),
            {"kl_a": uniform - figures["address_entropy"]},
            -uniform - log_posterior,
            {},
            figures,
        )

    def mean_latents(self, codes: Any, memory: Any) -> Any:
        """The likeliest row at each place: retrieval."""
        return self.read_rows(codes, "hard")[0]

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        """A row for each place, all equally likely."""
        logits = ops.zeros((1, self.memory_size))
        index = categorical(logits, num_samples * self.num_vectors, seed)
        rows = ops.take(self.memory.rows, index[0], axis=0)
        return ops.reshape(rows, (1, num_samples, self.latent_size))

    def get_config(self) -> dict:
        return {**super().get_config(), "temperature": self.temperature}
