"""Vector quantisation with codes that are running means."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import check_positive
from kgpm.layers.bottlenecks.vector_quantizer import VectorQuantizer
from kgpm.ops import sum_over_replicas


@keras.saving.register_keras_serializable(package="kgpm")
class VectorQuantizerEMA(VectorQuantizer):
    """Vector quantisation whose codes are running means of their vectors.

        N_i <- d N_i + (1 - d) n_i,   m_i <- d m_i + (1 - d) sum of z at i,
        e_i = m_i / N'_i,   N'_i = (N_i + eps) / (N + K eps) N,   N = sum N_i

    The raw counts are kept: N' is for the division alone. Counts and sums are
    added over replicas before they are averaged, so that all have the same
    codes. In any Keras model a call adds the commitment loss.

    Args:
        num_embeddings: K, codes.
        embedding_dim: D, length of a code.
        commitment_cost: weight of the loss that pulls the encoder.
        decay: d.
        restart_below: see `VectorQuantizer`.
        epsilon: eps, which keeps a code that is never used finite.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., D]`.
        training: whether the codes move.

    Returns:
        The nearest codes, `[..., D]`, float32.

    Raises:
        UserError: numbers that make no codebook.

    Source: van den Oord et al. (2017), appendix A.1.
    """

    trains_embeddings = False

    def __init__(
        self,
        num_embeddings: int = 512,
        embedding_dim: int = 64,
        commitment_cost: float = 0.25,
        decay: float = 0.99,
        restart_below: float = 0.01,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        check_positive(epsilon=epsilon)
        super().__init__(
            num_embeddings,
            embedding_dim,
            commitment_cost,
            decay,
            restart_below,
            **kwargs,
        )
        self.epsilon = epsilon

    def build(self, input_shape: tuple | None = None) -> None:
        super().build(input_shape)
        shape = (self.num_embeddings, self.embedding_dim)
        # As if each code had been used once, where it is.
        self._add("sums", shape, self.initializer)

    def _learn(self, flat: Any, encodings: Any) -> None:
        super()._learn(flat, encodings)
        sums = sum_over_replicas(ops.matmul(ops.transpose(encodings), flat))
        self.sums.assign(self._average(self.sums, sums))
        total = ops.sum(self.counts)
        smoothed = (self.counts + self.epsilon) * (
            total / (total + self.num_embeddings * self.epsilon)
        )
        self.embeddings.assign(self.sums / smoothed[:, None])

    def _move(self, chosen: Any, vectors: Any, uses: Any) -> None:
        super()._move(chosen, vectors, uses)
        self.sums.assign(ops.where(chosen[:, None], uses * vectors, self.sums))
