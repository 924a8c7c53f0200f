"""The terms of every image of a split, and what they come to."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.evaluation.held_out import held_out_terms
from kgpm.evaluation.importance_weights import held_out_bounds
from kgpm.evaluation.importance_weights import importance_weighted_bounds
from kgpm.layers import perplexity

FIGURES = {
    "A": "conditional",
    "A_order": "conditional, in another order",
    "B": "held-out query",
    "C_prior": "memory not written",
    "C_other": "another episode's memory",
}
# What figure A is where there is no memory.
UNCONDITIONAL = "unconditional"


class FigureScores:
    """Collects the terms of every image, batch after batch.

    `kgpm.evaluation.evaluation` says what the figures are.

    Args:
        model: a `LatentModel`.
        seed: of the noise.
        num_draws: noise draws averaged per image.
        num_samples: of the importance-weighted bounds, 0 for none. Models
            that draw no latents, or bound nothing, have none.
    """

    def __init__(
        self, model: Any, seed: int, num_draws: int, num_samples: int
    ) -> None:
        self._model = model
        self._seed = ops.make_seed(seed)
        self._num_draws = num_draws
        # More samples of the same latents are the same, and of what is no
        # bound there is no tighter one.
        weighs = model.memory.draws and not model.memory.why_no_bound
        self.num_samples = num_samples if weighs else 0
        self._terms: dict[str, dict[str, list]] = {key: {} for key in FIGURES}
        self._uses: dict[str, Any] = {}
        self._sizes: dict[str, list] = {key: [] for key in FIGURES}
        self._last_memories: list | None = None
        self._waiting: tuple | None = None
        self.num_images = 0
        self.num_episodes = 0
        self.num_batches = 0
        self.episode_length = 0
        # Each is traced once per shape: a last, smaller batch costs one more.
        self._bound = tf.function(
            lambda images, weights, seed: model.bound_terms(
                images, weights=weights, seed=seed
            )
        )
        self._held_out = tf.function(
            lambda images, weights, seed: held_out_terms(
                model, images, weights=weights, seed=seed
            )
        )
        self._query = tf.function(
            lambda images, memory, weights, seed: model.query_terms(
                images, memory, seed=seed, weights=weights
            )
        )
        self._write = tf.function(
            lambda images, weights, seed: model.write(
                images, weights=weights, seed=seed
            )
        )
        self._tighter = tf.function(
            lambda images, memory, weights, seed: importance_weighted_bounds(
                model, images, memory, num_samples, seed, weights
            )
        )
        self._tighter_held_out = tf.function(
            lambda images, weights, seed: held_out_bounds(
                model, images, weights, num_samples, seed
            )
        )

    def update(self, index: int, images: Any, weights: Any) -> float:
        """Scores one batch and returns its mean nelbo of figure A."""
        self.num_batches = index + 1
        self.episode_length = int(images.shape[1])
        if not len(weights):
            return float("nan")
        mask = np.asarray(weights) > 0
        self._model.likelihood.validate(np.asarray(images))
        self.num_images += int(mask.sum())
        self.num_episodes += int(images.shape[0])
        batch_seed = ops.fold_in(self._seed, index)
        seeds = [ops.fold_in(batch_seed, i) for i in range(self._num_draws)]
        terms = [self._bound(images, weights, s) for s in seeds]
        # The noise of these reads again in figure C, as `bound_terms` has it:
        # then the memory is all that differs.
        reads = [ops.split_seed(seed, 2)[1] for seed in seeds]
        self._add("A", terms, mask)
        if self._model.depends_on_order:
            self._score_in_another_order(images, weights, mask, seeds)
        memories = [None]
        if self._model.memory.stores:
            # Written by noise of its own, not that of the queries' reads.
            memories = [
                self._write(images, weights, ops.fold_in(s, 1)) for s in seeds
            ]
            self._add(
                "B", [self._held_out(images, weights, s) for s in seeds], mask
            )
            self._score_unwritten(images, weights, mask, reads)
            self._score_other_episode(images, weights, mask, memories, reads)
        if self.num_samples:
            bounds = self._tighter(images, memories[0], weights, seeds[0])
            self._add("A", [bounds], mask)
            if self._model.memory.stores:
                bounds = self._tighter_held_out(images, weights, seeds[0])
                self._add("B", [bounds], mask)
        return float(np.mean(np.asarray(ops.nelbo(terms[0]))[mask]))

    def _score_unwritten(
        self, images: Any, weights: Any, mask: np.ndarray, seeds: list
    ) -> None:
        """Figure C of a memory to which nothing was written."""
        prior = self._model.memory.prior(images.shape[0])
        self._add(
            "C_prior",
            [self._query(images, prior, weights, s) for s in seeds],
            mask,
        )

    def _score_in_another_order(
        self, images: Any, weights: Any, mask: np.ndarray, seeds: list
    ) -> None:
        """Figure A of every episode in one and the same other order."""
        order = np.random.default_rng(0).permutation(self.episode_length)
        images = tf.gather(images, order, axis=1)
        weights = tf.gather(weights, order, axis=1)
        self._add(
            "A_order",
            [self._bound(images, weights, s) for s in seeds],
            mask[:, order],
        )

    def _score_other_episode(
        self,
        images: Any,
        weights: Any,
        mask: np.ndarray,
        memories: list,
        seeds: list,
    ) -> None:
        """Scores each episode with the memory of the one before it.

        The first batch has none before it and takes its own last memory for
        its first episode; if that batch is a single episode, it waits for the
        next batch.
        """
        previous = self._last_memories
        self._last_memories = [
            tf.nest.map_structure(lambda m: m[-1:], memory)
            for memory in memories
        ]
        if previous is None and images.shape[0] == 1:
            self._waiting = (images, weights, mask, seeds)
            return
        if self._waiting is not None:
            first_images, first_weights, first_mask, seeds_of_first = (
                self._waiting
            )
            self._waiting = None
            others = [
                tf.nest.map_structure(lambda m: m[:1], memory)
                for memory in memories
            ]
            self._add_other(
                first_images, first_weights, first_mask, others, seeds_of_first
            )
        before = self._last_memories if previous is None else previous
        shifted = [
            tf.nest.map_structure(
                lambda last, own: tf.concat([last, own[:-1]], axis=0),
                last_memory,
                memory,
            )
            for last_memory, memory in zip(before, memories, strict=True)
        ]
        self._add_other(images, weights, mask, shifted, seeds)

    def _add_other(
        self,
        images: Any,
        weights: Any,
        mask: np.ndarray,
        memories: list,
        seeds: list,
    ) -> None:
        terms = [
            self._query(images, memory, weights, seed)
            for memory, seed in zip(memories, seeds, strict=True)
        ]
        self._add("C_other", terms, mask)

    def _add(
        self, figure: str, draws: Sequence[Mapping[str, Any]], mask: np.ndarray
    ) -> None:
        if "nll" in draws[0]:
            self._sizes[figure].append(mask.sum(axis=1))
        for name in draws[0]:
            if name == "usage":
                uses = [np.asarray(terms[name])[mask] for terms in draws]
                self._uses[figure] = self._uses.get(figure, 0.0) + np.sum(
                    uses, axis=(0, 1), dtype="float64"
                )
                continue
            values = [np.asarray(terms[name], "float64") for terms in draws]
            per_image = np.mean(values, axis=0)[mask]
            self._terms[figure].setdefault(name, []).append(per_image)

    def figures(self) -> dict[str, dict | None]:
        """A summary of each of `FIGURES`, `None` for what does not apply."""
        return {
            figure: self._summary(figure, parts) if parts else None
            for figure, parts in self._terms.items()
        }

    def _summary(self, figure: str, parts: Mapping[str, list]) -> dict:
        terms = {name: np.concatenate(part) for name, part in parts.items()}
        tighter: dict[str, Any] = {
            name: terms.pop(name)
            for name in ("nelbo_iw", "nelbo_stratified")
            if name in terms
        }
        nelbo = ops.nelbo(terms)
        columns: dict[str, Any] = {"nelbo": nelbo}
        if ops.KL_MEMORY in terms:
            columns["nelbo_full"] = ops.nelbo_full(terms)
        columns.update(tighter)
        columns.update(terms)
        # Of the whole bound, and of its two parts: a likelihood may add a
        # constant (the 8 bits of a dequantised density), and that belongs to
        # the part of the pixels.
        if not self._model.memory.why_no_bound:
            total = self._bits_per_dim(nelbo)
            pixels = self._bits_per_dim(terms["nll"])
            columns["bits_per_dim"] = total
            columns["bits_per_dim_nll"] = pixels
            columns["bits_per_dim_kl"] = total - pixels
        if "nelbo_iw" in tighter:
            columns["bits_per_dim_iw"] = self._bits_per_dim(tighter["nelbo_iw"])
        if figure in self._uses:
            # Of all images together: it has no error of its own.
            columns["perplexity"] = [float(perplexity(self._uses[figure]))]
        title = FIGURES[figure] if self._model.memory.stores else UNCONDITIONAL
        summary: dict[str, Any] = {"title": title}
        sizes = None
        if self._model.memory.stores:
            sizes = np.concatenate(self._sizes[figure])
        summary.update(
            (name, mean_and_standard_error(values, sizes))
            for name, values in columns.items()
        )
        return summary

    def _bits_per_dim(self, nats: np.ndarray) -> np.ndarray:
        model = self._model
        return np.asarray(
            model.likelihood.bits_per_dim(nats, model.image_shape), "float64"
        )


def mean_and_standard_error(
    values: Any, sizes: Any = None
) -> dict[str, float | None]:
    """Mean of `values` and its standard error; `None` where not finite.

    Args:
        values: `[N]`.
        sizes: how many values each group has, in order, where those of a
            group depend on each other: the error then comes from the sums of
            the groups' deviations (the sandwich estimate for clusters). By
            default each value is a group.
    """
    values = np.asarray(values, "float64").ravel()
    mean = float(np.mean(values)) if len(values) else float("nan")
    deviations = values - mean
    if sizes is not None:
        starts = np.cumsum([0, *sizes[:-1]])
        deviations = np.add.reduceat(deviations, starts)
    count = len(deviations)
    error = float("nan")
    if count > 1:
        square = count / (count - 1) * np.sum(deviations**2)
        error = float(np.sqrt(square) / len(values))
    return {
        "mean": mean if np.isfinite(mean) else None,
        "standard_error": error if np.isfinite(error) else None,
    }
