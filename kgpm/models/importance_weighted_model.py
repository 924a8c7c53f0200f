"""Bounds on the likelihood of images by importance weights."""

from typing import Any

from keras import ops

from kgpm.errors import check_count
from kgpm.models.scored_model import ScoredModel
from kgpm.ops import fold_in
from kgpm.ops import make_seed
from kgpm.ops import split_seed


class ImportanceWeightedModel(ScoredModel):
    """Base of the models whose images are also scored by many samples.

    A subclass provides what `ScoredModel` asks for, with `log_ratio` in what
    `sample_latents` draws.

    Args:
        *args: of `ImageModel`.
        **kwargs: of `ImageModel`.

    Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016.
    """

    def log_likelihood(
        self,
        images: Any,
        memory: Any = None,
        num_importance_samples: int = 1000,
        seed: Any = 0,
        weights: Any = None,
    ) -> Any:
        """Importance-weighted lower bound on log p(x | memory).

        Burda et al. 2016: `ln 1/S sum_s p(x, h_s | M) / q(h_s | x, M)`. It is
        tighter than `bound_terms`; never compare the two. The samples pass
        one after the other, so memory does not grow with their number.

        A memory with a density is drawn once for all samples: the result
        bounds `log p(x | M)` for that draw, as `bound_terms` does for its
        own, and not the logarithm of an average over memories.

        Args:
            images: `[B, T, H, W, C]`.
            memory: as `write` returns it; by default that of `images`, those
                of weight 0 left out, which makes the result conditional on a
                memory that has seen the image.
            num_importance_samples: S, at least 1.
            seed: of all noise.
            weights: `[B, T]`, 0 for an absent image; see `encode`.

        Returns:
            `[B, T]` in nats.
        """
        codes, memory, seed = self._given_memory(images, memory, weights, seed)
        return self.weigh(images, codes, memory, num_importance_samples, seed)

    def importance_weighted_bounds(
        self,
        images: Any,
        memory: Any = None,
        num_importance_samples: int = 1000,
        seed: Any = 0,
        weights: Any = None,
    ) -> dict[str, Any]:
        """The tighter bounds that the model has, by name.

        Args:
            images: as in `log_likelihood`, as all that follow.
            memory: see there.
            num_importance_samples: see there.
            seed: see there.
            weights: see there.

        Returns:
            See `tighter_bounds`.
        """
        codes, memory, seed = self._given_memory(images, memory, weights, seed)
        return self.tighter_bounds(
            images, codes, memory, num_importance_samples, seed
        )

    def held_out_bounds(
        self,
        images: Any,
        weights: Any = None,
        num_importance_samples: int = 1000,
        seed: Any = 0,
    ) -> dict[str, Any]:
        """`importance_weighted_bounds` as `held_out_terms` scores."""

        def score(image: Any, code: Any, memory: Any, seed: Any) -> dict:
            draw_seed, seed = split_seed(make_seed(seed), 2)
            return self.tighter_bounds(
                image,
                code,
                self.recall(memory, draw_seed),
                num_importance_samples,
                seed,
            )

        return self.leave_each_out(images, weights, seed, score)

    def tighter_bounds(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        num_importance_samples: int,
        seed: Any,
    ) -> dict[str, Any]:
        """`importance_weighted_bounds` of images whose codes are at hand.

        Returns:
            `{"nelbo_iw": [B, T]}`, the negative `weigh`, and what else a
            model has, in nats.
        """
        value = self.weigh(images, codes, memory, num_importance_samples, seed)
        return {"nelbo_iw": -value}

    def _given_memory(
        self, images: Any, memory: Any, weights: Any, seed: Any
    ) -> tuple[Any, Any, Any]:
        """Codes of images, what they are read from, a seed for reading."""
        write_seed, draw_seed, seed = split_seed(make_seed(seed), 3)
        if memory is None and self.has_memory:
            memory = self.write(images, weights, write_seed)
        codes = self.encode(images, weights)
        return codes, self.recall(memory, draw_seed), seed

    def weigh(
        self,
        images: Any,
        codes: Any,
        memory: Any,
        num_importance_samples: int,
        seed: Any,
    ) -> Any:
        """`log_likelihood` of images whose codes are at hand."""
        check_count("num_importance_samples", num_importance_samples)
        seed = make_seed(seed)

        def add_sample(index: Any, total: Any) -> Any:
            draw_seed, pixel_seed = split_seed(fold_in(seed, index), 2)
            draw = self.sample_latents(codes, memory, draw_seed)
            log_weight = draw.log_ratio + self.likelihood.log_prob(
                images, self.decode(draw.latents), pixel_seed
            )
            return ops.logaddexp(total, log_weight)

        # -inf would be the empty sum, but its gradient is not a number.
        start = ops.full(ops.shape(images)[:-3], -1e30, "float32")
        total = ops.fori_loop(0, num_importance_samples, add_sample, start)
        return total - ops.log(ops.cast(num_importance_samples, "float32"))
