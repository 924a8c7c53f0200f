"""The external-memory "VAE"."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_choice
from kgpm.layers import SoftMemory
from kgpm.layers.bottlenecks.code_perplexity import CodePerplexity
from kgpm.models.grid_model import GridModel
from kgpm.models.grid_model import Passed
from kgpm.ops import gumbel

ADDRESSES = ("soft", "hard", "sampled")


@keras.saving.register_keras_serializable(package="kgpm")
class MemoryVAE(GridModel):
    """An autoencoder that reads a learned memory by similarity.

    Each vector of the grid is replaced by an average of the memory's rows
    (`SoftMemory`). Despite its published name it is no VAE: nothing is drawn,
    nothing is charged for the weights, and there is no prior to generate
    from; `VariationalMemoryVAE` has all three. Beside `nll` it shows `nmse`,
    the entropy of the addresses in nats an image, and the perplexity of the
    rows' use.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        memory_size: K, rows of the memory.
        similarity: `l2`, `cosine`, or `reference`, see `SoftMemory`.
        **kwargs: of `GridModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = MemoryVAE(image_shape=(32, 32, 3))
        >>> model.read(images).shape  # [N, 32, 32, 3] as the images

    Source: Y. Ni, "Exploration of External Memory in Variational
    Auto-Encoder".
    """

    term_names: tuple[str, ...] = ("nll",)
    no_memory_reason = (
        "whose memory is a parameter that training writes, the same for all "
        "images"
    )
    has_prior = False
    why_no_bound = "nothing is charged for the weights of a soft read"

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
        memory_size: int = 512,
        similarity: str = "l2",
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, **kwargs)
        self.memory = SoftMemory(
            memory_size, self.embedding_dim, similarity, name="memory"
        )
        self.memory.build()
        self.memory_size = memory_size
        self.log_memory_size = math.log(memory_size)

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        return {
            **super().figure_metrics(),
            "address_entropy": keras.metrics.Mean(name="address_entropy"),
            "usage": CodePerplexity(self.memory_size),
            "beta": keras.metrics.Mean(name="beta"),
        }

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Passed:
        log_weights = self.memory.log_weights(vectors)
        soft = ops.exp(log_weights)
        return Passed(
            self.memory.read(soft),
            {},
            ops.zeros(ops.shape(vectors)[:-2]),
            {},
            self.address_figures(log_weights, soft),
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
            "beta": ops.broadcast_to(self.memory.beta, ops.shape(entropy)),
        }

    def read_rows(
        self, codes: Any, address: str = "soft", seed: Any = 0
    ) -> tuple[Any, Any]:
        """Latents of codes `[..., P D]`, and which rows they are of.

        Args:
            codes: of `encode`.
            address: `soft`, the average by w; `hard`, the row of greatest
                weight; or `sampled`, a row drawn by w.
            seed: of the draw.

        Returns:
            `[..., P D]` and weights `[..., P, K]`, one-hot unless soft.

        Raises:
            UserError: another address.
        """
        check_choice("address", address, ADDRESSES)
        shape = (*ops.shape(codes)[:-1], self.num_vectors, self.embedding_dim)
        log_weights = self.memory.log_weights(ops.reshape(codes, shape))
        if address == "soft":
            weights = ops.exp(log_weights)
        else:
            if address == "sampled":
                log_weights += gumbel(ops.shape(log_weights), seed)
            index = ops.argmax(log_weights, axis=-1)
            weights = ops.one_hot(index, self.memory_size)
        latents = self.memory.read(weights)
        return ops.reshape(latents, ops.shape(codes)), weights

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "memory_size": self.memory_size,
            "similarity": self.memory.similarity,
        }
