"""The terms of every image of a split, and what they come to."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.evaluation.batch_scores import BatchScores
from kgpm.evaluation.summary import summary

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

    `kgpm.evaluation.evaluation` says what the figures are. A batch is encoded
    once for all of them, and written once for each draw of the noise.

    Args:
        model: a `LatentModel`.
        seed: of the noise.
        num_draws: noise draws averaged per image.
        num_samples: of the importance-weighted bounds, 0 for none. Models
            that draw no latents, or bound nothing, have none.
        advance: told how many images were decoded, as scoring goes on.
    """

    def __init__(
        self,
        model: Any,
        seed: int,
        num_draws: int,
        num_samples: int,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        self._model = model
        self._seed = ops.make_seed(seed)
        self._num_draws = num_draws
        # More samples of the same latents are the same, and of what is no
        # bound there is no tighter one.
        weighs = model.memory.draws and not model.memory.why_no_bound
        self.num_samples = num_samples if weighs else 0
        self._advance = advance
        self._scores = BatchScores(model, self.num_samples, advance)
        self._terms: dict[str, dict[str, list]] = {key: {} for key in FIGURES}
        self._uses: dict[str, Any] = {}
        self._sizes: dict[str, list] = {key: [] for key in FIGURES}
        self._batch_size = 0
        self._last_memories: list | None = None
        self._waiting: tuple | None = None
        self.num_images = 0
        self.num_episodes = 0
        self.num_batches = 0
        self.episode_length = 0

    @property
    def decodings(self) -> int:
        """How often each image is decoded, about."""
        stores = self._model.memory.stores
        figures = 1 + 3 * stores + self._model.depends_on_order
        bounds = (1 + stores) * (1 + self._model.memory.enumerates)
        return self._num_draws * figures + self.num_samples * bounds

    def update(self, index: int, images: Any, weights: Any) -> float:
        """Scores one batch and returns its mean nelbo of figure A."""
        self.num_batches = index + 1
        self.episode_length = int(images.shape[1])
        if not len(weights):
            return float("nan")
        mask = np.asarray(weights) > 0
        self._model.likelihood.validate(np.asarray(images))
        self.num_images += int(mask.sum())
        self.num_episodes += len(mask)
        images, weights = self._filled(images), self._filled(weights)
        batch_seed = ops.fold_in(self._seed, index)
        seeds = [ops.fold_in(batch_seed, i) for i in range(self._num_draws)]
        codes = self._scores.encode(images, weights)
        memories, terms = self._score_written(images, codes, weights, seeds)
        if self.num_samples:
            terms[0].update(
                self._scores.tighter(images, codes, memories[0], seeds[0])
            )
        self._add("A", terms, mask)
        if self._model.depends_on_order:
            self._score_in_another_order(images, weights, mask, seeds)
        if self._model.memory.stores:
            self._score_held_out(images, codes, weights, mask, seeds)
            self._score_unwritten(images, codes, mask, seeds)
            self._score_other_episode(images, codes, mask, memories, seeds)
        nelbo = np.asarray(ops.nelbo(terms[0]))[: len(mask)]
        return float(np.mean(nelbo[mask]))

    def _filled(self, values: Any) -> Any:
        """Values `[b, ...]` of as many episodes as the batches before had.

        A smaller batch would be traced again. Its last episode is repeated,
        and what is more than the mask has counts nowhere.
        """
        missing = self._batch_size - len(values)
        if missing <= 0:
            self._batch_size = len(values)
            return values
        return tf.concat([values, *[values[-1:]] * missing], axis=0)

    def _seeds_of(self, seed: Any) -> list:
        """Of the write, if there is one, and of the reads.

        Figure C reads by the noise of figure A, and by that of `bound_terms`:
        then the memory is all that differs.
        """
        if self._model.memory.stores:
            return ops.split_seed(seed, 2)
        return [None, seed]

    def _score_written(
        self, images: Any, codes: Any, weights: Any, seeds: list
    ) -> tuple[list, list]:
        """The memory of each draw, and the terms of what was written to it."""
        memories, terms = [], []
        for seed in seeds:
            write_seed, read_seed = self._seeds_of(seed)
            memory, costs = None, {}
            if self._model.memory.stores:
                memory, costs = self._scores.write(codes, weights, write_seed)
            read = self._scores.read(images, codes, memory, read_seed)
            memories.append(memory)
            terms.append({**read, **costs})
        return memories, terms

    def _score_in_another_order(
        self, images: Any, weights: Any, mask: np.ndarray, seeds: list
    ) -> None:
        """Figure A of every episode in one and the same other order."""
        order = np.random.default_rng(0).permutation(self.episode_length)
        images = tf.gather(images, order, axis=1)
        weights = tf.gather(weights, order, axis=1)
        codes = self._scores.encode(images, weights)
        _, terms = self._score_written(images, codes, weights, seeds)
        self._add("A_order", terms, mask[:, order])

    def _score_held_out(
        self,
        images: Any,
        codes: Any,
        weights: Any,
        mask: np.ndarray,
        seeds: list,
    ) -> None:
        """Figure B; the first draw's memories also give its tighter bounds."""
        terms = [
            self._scores.held_out(
                images, codes, weights, seed, draw == 0 and self.num_samples > 0
            )
            for draw, seed in enumerate(seeds)
        ]
        self._add("B", terms, mask)

    def _score_unwritten(
        self, images: Any, codes: Any, mask: np.ndarray, seeds: list
    ) -> None:
        """Figure C of a memory to which nothing was written."""
        prior = self._model.memory.prior(len(images))
        priors = [prior] * len(seeds)
        self._add_read("C_prior", priors, seeds, images, codes, mask)

    def _score_other_episode(
        self,
        images: Any,
        codes: Any,
        mask: np.ndarray,
        memories: list,
        seeds: list,
    ) -> None:
        """Scores each episode with the memory of the one before it.

        The first batch has none before it and takes its own last memory for
        its first episode; if that batch is a single episode, it waits for the
        next batch.
        """
        previous, number = self._last_memories, len(mask)
        self._last_memories = [
            tf.nest.map_structure(lambda m: m[number - 1 : number], memory)
            for memory in memories
        ]
        if previous is None and number == 1:
            self._waiting = (images, codes, mask, seeds)
            return
        if self._waiting is not None:
            *first, seeds_of_first = self._waiting
            self._waiting = None
            others = [
                tf.nest.map_structure(lambda m: m[:1], memory)
                for memory in memories
            ]
            self._add_read("C_other", others, seeds_of_first, *first)
        before = self._last_memories if previous is None else previous
        shifted = [
            tf.nest.map_structure(
                lambda last, own: tf.concat([last, own[:-1]], axis=0),
                last_memory,
                memory,
            )
            for last_memory, memory in zip(before, memories, strict=True)
        ]
        self._add_read("C_other", shifted, seeds, images, codes, mask)

    def _add_read(
        self,
        figure: str,
        memories: list,
        seeds: list,
        images: Any,
        codes: Any,
        mask: np.ndarray,
    ) -> None:
        """Adds the terms of images read from memories, one for each draw."""
        terms = [
            self._scores.read(images, codes, memory, self._seeds_of(seed)[1])
            for memory, seed in zip(memories, seeds, strict=True)
        ]
        self._add(figure, terms, mask)

    def _add(
        self, figure: str, draws: Sequence[Mapping[str, Any]], mask: np.ndarray
    ) -> None:
        self._sizes[figure].append(mask.sum(axis=1))
        for name in draws[0]:
            # The first draw alone has tighter bounds.
            values = [
                np.asarray(terms[name], "float64")[: len(mask)][mask]
                for terms in draws
                if name in terms
            ]
            if name == "usage":
                self._uses[figure] = self._uses.get(figure, 0.0) + np.sum(
                    values, axis=(0, 1)
                )
                continue
            per_image = np.mean(values, axis=0)
            self._terms[figure].setdefault(name, []).append(per_image)
        if self._advance is not None:
            self._advance(len(draws) * mask.size)

    def figures(self) -> dict[str, dict | None]:
        """A summary of each of `FIGURES`, `None` for what does not apply."""
        return {
            figure: self._summary(figure) if parts else None
            for figure, parts in self._terms.items()
        }

    def _summary(self, figure: str) -> dict:
        parts = self._terms[figure].items()
        title, sizes = UNCONDITIONAL, None
        if self._model.memory.stores:
            title = FIGURES[figure]
            sizes = np.concatenate(self._sizes[figure])
        return summary(
            self._model,
            title,
            {name: np.concatenate(part) for name, part in parts},
            self._uses.get(figure),
            sizes,
        )
