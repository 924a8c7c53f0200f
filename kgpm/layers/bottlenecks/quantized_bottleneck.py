"""A bottleneck of vectors that are replaced by the nearest codes."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_choice
from kgpm.errors import check_goes_with
from kgpm.layers.bottlenecks.code_perplexity import CodePerplexity
from kgpm.layers.bottlenecks.grid_bottleneck import GridBottleneck
from kgpm.layers.bottlenecks.pixel_cnn import PixelCNN
from kgpm.layers.bottlenecks.vector_quantizer import VectorQuantizer
from kgpm.layers.bottlenecks.vector_quantizer_ema import VectorQuantizerEMA
from kgpm.layers.memories.memory import Draw
from kgpm.ops import categorical

CODEBOOKS = {"ema": VectorQuantizerEMA, "gradient": VectorQuantizer}
PRIORS = ("uniform", "pixel_cnn")


@keras.saving.register_keras_serializable(package="kgpm")
class QuantizedBottleneck(GridBottleneck):
    """Each vector of a grid becomes the nearest of K codes.

    The gradient passes straight through. q(a | x) is certain of the nearest
    codes a, so that `kl_a = -ln p(a)`, and `nll + kl_a` bounds `-log p(x)`:
    with the uniform prior `kl_a` is P ln K for P vectors, whatever the
    image; a PixelCNN trained beside the rest lowers it and makes generation
    worthwhile. Its gradient does not reach the codes, but counts in the norm
    that `global_clipnorm` limits.

    Args:
        grid_shape: `(h, w)` of a grid.
        num_embeddings: K, codes.
        embedding_dim: D, length of a code.
        commitment_cost: weight of mean|z - sg(e)|^2 beside the squared error.
        codebook: `ema`, codes are running means, or `gradient`.
        decay: of the running means, see `VectorQuantizerEMA`.
        restart_below: see `VectorQuantizer`.
        prior: `uniform` or `pixel_cnn`.
        prior_width: channels of the PixelCNN, 64 by default.
        prior_blocks: gated blocks of the PixelCNN, 4 by default.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        UserError: sizes below 1, unknown options, or options without effect.

    Source: van den Oord et al., "Neural Discrete Representation Learning",
    NeurIPS 2017.
    """

    term_names = ("kl_a",)
    why_not_stored = (
        "whose codebook is a parameter that training writes, the same for all "
        "images"
    )

    def __init__(
        self,
        grid_shape: tuple,
        num_embeddings: int = 512,
        embedding_dim: int = 64,
        commitment_cost: float = 0.25,
        codebook: str = "ema",
        decay: float = 0.99,
        restart_below: float = 0.01,
        prior: str = "uniform",
        prior_width: int | None = None,
        prior_blocks: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("codebook", codebook, tuple(CODEBOOKS))
        check_choice("prior", prior, PRIORS)
        check_goes_with(
            "prior='pixel_cnn'",
            prior == "pixel_cnn",
            prior_width=prior_width,
            prior_blocks=prior_blocks,
        )
        super().__init__(**kwargs)
        self.grid_shape = tuple(grid_shape)
        self.embedding_dim = embedding_dim
        self.quantizer = CODEBOOKS[codebook](
            num_embeddings,
            embedding_dim,
            commitment_cost,
            decay,
            restart_below,
            name="quantizer",
        )
        self.pixel_cnn = None
        if prior == "pixel_cnn":
            self.pixel_cnn = PixelCNN(
                num_embeddings,
                self.grid_shape,
                64 if prior_width is None else prior_width,
                4 if prior_blocks is None else prior_blocks,
                name="prior",
            )
        self.loss_weights = {"commitment": commitment_cost}
        if self.quantizer.trains_embeddings:
            self.loss_weights["codebook"] = 1.0

    def build(self, input_shape: tuple | None = None) -> None:
        self.quantizer.build()
        if self.pixel_cnn is not None:
            self.pixel_cnn.build()
        self.built = True

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        return {"usage": CodePerplexity(self.quantizer.num_embeddings)}

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Draw:
        if weights is not None:
            weights = weights[..., None]
        quantized = self.quantizer.encode(vectors, weights, training, seed)
        rate = -self._log_prior(quantized.encoding_indices)
        return Draw(
            quantized.vectors,
            {"kl_a": rate},
            -rate,
            losses={
                name: ops.mean(getattr(quantized, name), axis=-1)
                for name in self.loss_weights
            },
            figures={"usage": ops.mean(quantized.encodings, axis=-2)},
        )

    def sample_prior(self, memory: Any, num_samples: int, seed: Any) -> Any:
        """Codes drawn from the prior, `[1, N, h, w, D]`."""
        if self.pixel_cnn is None:
            logits = ops.zeros((1, self.quantizer.num_embeddings))
            places = math.prod(self.grid_shape)
            index = categorical(logits, num_samples * places, seed)
        else:
            index = self.pixel_cnn.sample(num_samples, seed)
        codes = self.quantizer.lookup(ops.reshape(index, (-1,)))
        shape = (1, num_samples, *self.grid_shape, self.embedding_dim)
        return ops.reshape(codes, shape)

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        """-ln p(a) of the nearest codes."""
        quantized = self.quantizer.encode(self.vectors_of(codes))
        return -self._log_prior(quantized.encoding_indices)

    def diagnostics(self, codes: Any, memory: Any) -> dict[str, Any]:
        """Share of the codes that are used at least a tenth of an even use."""
        counts = self.quantizer.counts
        used = ops.cast(counts > 0.1 * ops.mean(counts), "float32")
        return {"codes_used": ops.mean(used)}

    def _log_prior(self, indices: Any) -> Any:
        """ln p(a) of `[..., P]` codes, `[...]` in nats."""
        leading = ops.shape(indices)[:-1]
        if self.pixel_cnn is None:
            places = math.prod(self.grid_shape)
            uniform = places * math.log(self.quantizer.num_embeddings)
            return ops.full(leading, -uniform)
        grids = ops.reshape(indices, (-1, *self.grid_shape))
        return ops.reshape(self.pixel_cnn.log_prob(grids), leading)
