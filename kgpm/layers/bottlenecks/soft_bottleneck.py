"""Bottlenecks that read a learned memory by similarity."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_choice
from kgpm.errors import check_positive
from kgpm.layers.bottlenecks.code_perplexity import CodePerplexity
from kgpm.layers.bottlenecks.grid_bottleneck import GridBottleneck
from kgpm.layers.bottlenecks.soft_memory import SoftMemory
from kgpm.layers.memories.memory import Draw
from kgpm.ops import categorical
from kgpm.ops import gumbel

ADDRESSES = ("soft", "hard", "sampled")


@keras.saving.register_keras_serializable(package="kgpm")
class SoftBottleneck(GridBottleneck):
    """Each vector of a grid becomes an average of learned rows (`SoftMemory`).

    Nothing is drawn, nothing is charged for the weights, and there is no prior
    to generate from; `VariationalBottleneck` has all three. Beside the bound
    it shows the entropy of the addresses in nats an image, and the perplexity
    of the rows' use.

    Args:
        grid_shape: `(h, w)` of a grid.
        memory_size: K, rows.
        embedding_dim: D, length of a row.
        similarity: `l2`, `cosine`, or `reference`, see `SoftMemory`.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, or an unknown similarity.

    Source: Y. Ni, "Exploration of External Memory in Variational
    Auto-Encoder".
    """

    has_prior = False
    why_not_stored = (
        "whose memory is a parameter that training writes, the same for all "
        "images"
    )
    why_no_bound = "nothing is charged for the weights of a soft read"

    def __init__(
        self,
        grid_shape: tuple,
        memory_size: int = 512,
        embedding_dim: int = 64,
        similarity: str = "l2",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.grid_shape = tuple(grid_shape)
        self.memory_size = memory_size
        self.embedding_dim = embedding_dim
        self.soft_memory = SoftMemory(
            memory_size, embedding_dim, similarity, name="memory"
        )

    def build(self, input_shape: tuple | None = None) -> None:
        self.soft_memory.build()
        self.built = True

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        return {
            "address_entropy": keras.metrics.Mean(name="address_entropy"),
            "usage": CodePerplexity(self.memory_size),
            "beta": keras.metrics.Mean(name="beta"),
        }

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Draw:
        log_weights = self.soft_memory.log_weights(vectors)
        soft = ops.exp(log_weights)
        return Draw(
            self.soft_memory.read(soft),
            {},
            ops.zeros(ops.shape(vectors)[:-2]),
            figures=self.address_figures(log_weights, soft),
        )

    def address_figures(self, log_weights: Any, chosen: Any) -> dict[str, Any]:
        """What is shown of `[..., P, K]` addresses.

        Args:
            log_weights: ln w.
            chosen: by what rows are read: w, or one of the rows.
        """
        entropy = -ops.sum(ops.exp(log_weights) * log_weights, axis=(-2, -1))
        return {
            "address_entropy": entropy,
            "usage": ops.mean(chosen, axis=-2),
            # The same for all, so that each epoch's row shows it.
            "beta": ops.broadcast_to(self.soft_memory.beta, ops.shape(entropy)),
        }

    def read_rows(
        self, codes: Any, address: str = "soft", seed: Any = 0
    ) -> tuple[Any, Any]:
        """Latents of codes `[..., h, w, D]`, and which rows they are of.

        Args:
            codes: of the encoder.
            address: `soft`, the average by w; `hard`, the row of greatest
                weight; or `sampled`, a row drawn by w.
            seed: of the draw.

        Returns:
            `[..., h, w, D]` and weights `[..., P, K]`, one-hot unless soft.

        Raises:
            UserError: another address.
        """
        check_choice("address", address, ADDRESSES)
        log_weights = self.soft_memory.log_weights(self.vectors_of(codes))
        if address == "soft":
            weights = ops.exp(log_weights)
        else:
            if address == "sampled":
                log_weights += gumbel(ops.shape(log_weights), seed)
            index = ops.argmax(log_weights, axis=-1)
            weights = ops.one_hot(index, self.memory_size)
        latents = self.soft_memory.read(weights)
        return ops.reshape(latents, ops.shape(codes)), weights


@keras.saving.register_keras_serializable(package="kgpm")
class VariationalBottleneck(SoftBottleneck):
    """`SoftBottleneck` with an address that is drawn and paid for.

        p(a_j) = 1 / K for each place j of the grid,
        q(a_j | x) = softmax_i(beta k(z_j, e_i)),
        p(x | a) = likelihood(decoder(e_a1, ..., e_aP))

    Addresses are drawn from q itself, one row a place, and
    `kl_a = sum_j (ln K - H(q_j))` is charged: `nll + kl_a` bounds
    `-log p(x)`. Training follows the draw through the relaxed one that it is
    the arg max of (straight-through Gumbel softmax): the bound is exact, its
    gradient is not.

    Args:
        grid_shape: `(h, w)` of a grid.
        memory_size: K, rows.
        embedding_dim: D, length of a row.
        similarity: see `SoftMemory`.
        temperature: of the relaxed draw.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, an unknown similarity, or a temperature that
            is not positive.

    Source: ours; a discrete VAE (Jang et al., "Categorical Reparameterization
    with Gumbel-Softmax", ICLR 2017) with the addresses of `SoftMemory`.
    """

    term_names = ("kl_a",)
    has_prior = True
    draws = True
    why_no_bound = ""

    def __init__(
        self,
        grid_shape: tuple,
        memory_size: int = 512,
        embedding_dim: int = 64,
        similarity: str = "l2",
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(
            grid_shape, memory_size, embedding_dim, similarity, **kwargs
        )
        self.temperature = temperature

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Draw:
        log_weights = self.soft_memory.log_weights(vectors)
        noisy = log_weights + gumbel(ops.shape(log_weights), seed)
        relaxed = ops.softmax(noisy / self.temperature, axis=-1)
        # The arg max of a relaxed draw is a draw from q.
        index = ops.argmax(relaxed, axis=-1)
        drawn = ops.one_hot(index, self.memory_size)
        chosen = relaxed + ops.stop_gradient(drawn - relaxed)
        figures = self.address_figures(log_weights, drawn)
        num_places = log_weights.shape[-2]
        uniform = num_places * math.log(self.memory_size)
        log_posterior = ops.sum(drawn * log_weights, axis=(-2, -1))
        return Draw(
            self.soft_memory.read(chosen),
            {"kl_a": uniform - figures["address_entropy"]},
            -uniform - log_posterior,
            figures=figures,
        )

    def read(self, codes: Any, memory: Any = None) -> Any:
        """The likeliest row at each place: retrieval."""
        return self.read_rows(codes, "hard")[0]

    def sample_prior(self, memory: Any, num_samples: int, seed: Any) -> Any:
        """A row for each place, all equally likely: `[1, N, h, w, D]`."""
        logits = ops.zeros((1, self.memory_size))
        places = math.prod(self.grid_shape)
        index = categorical(logits, num_samples * places, seed)
        rows = ops.take(self.soft_memory.rows, index[0], axis=0)
        shape = (1, num_samples, *self.grid_shape, self.embedding_dim)
        return ops.reshape(rows, shape)
