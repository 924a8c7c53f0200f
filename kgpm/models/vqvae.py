"""VQ-VAE."""

import math
from typing import Any

import keras
from keras import ops

from kgpm.errors import check_choice
from kgpm.layers import PixelCNN
from kgpm.layers import VectorQuantizer
from kgpm.layers import VectorQuantizerEMA
from kgpm.layers.bottlenecks.code_perplexity import CodePerplexity
from kgpm.models.grid_model import GridModel
from kgpm.models.grid_model import Passed
from kgpm.ops import categorical

CODEBOOKS = {"ema": VectorQuantizerEMA, "gradient": VectorQuantizer}
PRIORS = ("uniform", "pixel_cnn")


@keras.saving.register_keras_serializable(package="kgpm")
class VQVAE(GridModel):
    """Vector-quantised variational autoencoder (van den Oord et al., 2017).

    Each vector of the grid is replaced by the nearest of K codes; the
    gradient passes straight through. q(a | x) is certain of the nearest
    codes a, so that `kl_a = -ln p(a)`, and `nll + kl_a` bounds `-log p(x)`:
    with the uniform prior `kl_a` is P ln K for P vectors, whatever the
    image; a PixelCNN trained beside the rest lowers it and makes generation
    worthwhile. Its gradient does not reach the codes, but counts in the norm
    that `global_clipnorm` limits. An average of the weights (`ema_momentum`)
    leaves codes that are running means as they are.

    Args:
        image_shape: `(H, W, C)`, H and W multiples of 4.
        num_embeddings: K, codes.
        commitment_cost: weight of mean|z - sg(e)|^2 beside NMSE.
        codebook: `ema`, codes are running means, or `gradient`.
        decay: of the running means, see `VectorQuantizerEMA`.
        restart_below: see `VectorQuantizer`.
        prior: `uniform` or `pixel_cnn`.
        prior_width: channels of the PixelCNN.
        prior_blocks: gated blocks of the PixelCNN.
        **kwargs: of `GridModel`.

    Raises:
        UserError: arguments that make no model.

    Example:
        >>> model = VQVAE(image_shape=(32, 32, 3))
        >>> model.read(images).shape  # [N, 32, 32, 3] as the images

    Source: van den Oord et al., "Neural Discrete Representation Learning",
    NeurIPS 2017.
    """

    term_names = ("nll", "kl_a")
    no_memory_reason = (
        "whose codebook is a parameter that training writes, the same for all "
        "images"
    )

    def __init__(
        self,
        image_shape: tuple = (32, 32, 3),
        num_embeddings: int = 512,
        commitment_cost: float = 0.25,
        codebook: str = "ema",
        decay: float = 0.99,
        restart_below: float = 0.01,
        prior: str = "uniform",
        prior_width: int = 64,
        prior_blocks: int = 4,
        **kwargs: Any,
    ) -> None:
        check_choice("codebook", codebook, tuple(CODEBOOKS))
        check_choice("prior", prior, PRIORS)
        super().__init__(image_shape, **kwargs)
        self.codebook = codebook
        self.quantizer = CODEBOOKS[codebook](
            num_embeddings,
            self.embedding_dim,
            commitment_cost,
            decay,
            restart_below,
            name="quantizer",
        )
        self.quantizer.build()
        self.prior_name = prior
        self.prior_size = {
            "prior_width": prior_width,
            "prior_blocks": prior_blocks,
        }
        self.prior = None
        if prior == "pixel_cnn":
            self.prior = PixelCNN(
                num_embeddings,
                self.grid_shape,
                prior_width,
                prior_blocks,
                name="prior",
            )
            self.prior.build()
        self.auxiliary_weights = {
            "commitment": commitment_cost * self.nats_per_nmse
        }
        if self.quantizer.trains_embeddings:
            self.auxiliary_weights["codebook"] = self.nats_per_nmse

    def figure_metrics(self) -> dict[str, keras.metrics.Metric]:
        perplexity = CodePerplexity(self.quantizer.num_embeddings)
        return {**super().figure_metrics(), "usage": perplexity}

    def bottleneck(
        self, vectors: Any, weights: Any, seed: Any, training: bool
    ) -> Passed:
        if weights is not None:
            weights = weights[..., None]
        quantized = self.quantizer.encode(vectors, weights, training, seed)
        rate = -self._log_prior(quantized.encoding_indices)
        losses = {
            name: ops.mean(getattr(quantized, name), axis=-1)
            for name in self.auxiliary_weights
        }
        return Passed(
            quantized.vectors,
            {"kl_a": rate},
            -rate,
            losses,
            {"usage": ops.mean(quantized.encodings, axis=-2)},
        )

    def sample_prior_latents(
        self, memory: Any, num_samples: int, seed: Any
    ) -> Any:
        """Codes drawn from the prior."""
        if self.prior is None:
            logits = ops.zeros((1, self.quantizer.num_embeddings))
            index = categorical(logits, num_samples * self.num_vectors, seed)
        else:
            index = self.prior.sample(num_samples, seed)
        codes = self.quantizer.lookup(ops.reshape(index, (-1,)))
        return ops.reshape(codes, (1, num_samples, self.latent_size))

    def latent_energy(self, codes: Any, memory: Any) -> Any:
        shape = (*ops.shape(codes)[:-1], self.num_vectors, self.embedding_dim)
        quantized = self.quantizer.encode(ops.reshape(codes, shape))
        return -self._log_prior(quantized.encoding_indices)

    def diagnostics(self, images: Any, memory: Any = None) -> dict[str, Any]:
        """Share of the codes that are used at least a tenth of an even use."""
        counts = self.quantizer.counts
        used = ops.cast(counts > 0.1 * ops.mean(counts), "float32")
        return {"codes_used": ops.mean(used)}

    def get_config(self) -> dict:
        quantizer = self.quantizer
        return {
            **super().get_config(),
            "num_embeddings": quantizer.num_embeddings,
            "commitment_cost": quantizer.commitment_cost,
            "codebook": self.codebook,
            "decay": quantizer.decay,
            "restart_below": quantizer.restart_below,
            "prior": self.prior_name,
            **self.prior_size,
        }

    def _log_prior(self, indices: Any) -> Any:
        """ln p(a) of `[..., P]` codes, `[...]` in nats."""
        leading = ops.shape(indices)[:-1]
        if self.prior is None:
            uniform = self.num_vectors * math.log(self.quantizer.num_embeddings)
            return ops.full(leading, -uniform)
        grids = ops.reshape(indices, (-1, *self.grid_shape))
        return ops.reshape(self.prior.log_prob(grids), leading)
