"""The ways to score one batch, each of which is traced once."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kgpm import ops
from kgpm.evaluation.held_out import leave_each_out
from kgpm.evaluation.importance_weights import bounds_of_codes


class BatchScores:
    """Functions of a batch, its codes and its memory, for batches of one size.

    What a batch is encoded and written to is a value, so that all figures
    share it.

    Args:
        model: a `LatentModel`.
        num_samples: of the importance-weighted bounds.
        advance: told how many images were decoded while bounds are computed.
    """

    def __init__(
        self,
        model: Any,
        num_samples: int,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        self._model = model
        self._num_samples = num_samples
        self._advance = advance
        # Models are written without Python's control flow over tensors, and
        # looking for some takes longer than a trace.
        options = {"autograph": False}
        self.encode = tf.function(self._encode, **options)
        self.write = tf.function(self._write, **options)
        self.read = tf.function(model.score, **options)
        self.tighter = tf.function(self._tighter, **options)
        self.held_out = tf.function(self._held_out, **options)

    def _encode(self, images: Any, weights: Any) -> Any:
        """Codes of images `[B, T, H, W, C]`, of which none sees an absent."""
        return self._model.encode(images, weights)

    def _write(self, codes: Any, weights: Any, seed: Any) -> tuple[Any, dict]:
        """The memory of codes, and what it costs each of them."""
        memory = self._model.memory.write(codes, weights, seed)
        if ops.KL_MEMORY not in self._model.term_names:
            return memory, {}
        return memory, self._model.memory.costs(memory, weights)

    def _tighter(
        self, images: Any, codes: Any, memory: Any, seed: Any
    ) -> dict[str, Any]:
        """Importance-weighted bounds of images under a memory."""
        _, draw_seed, seed = ops.split_seed(seed, 3)
        return self._bounds(images, codes, memory, draw_seed, seed)

    def _held_out(
        self, images: Any, codes: Any, weights: Any, seed: Any, bounds: bool
    ) -> dict[str, Any]:
        """Terms of each image under the others; their bounds if asked for."""

        def score(image: Any, code: Any, memory: Any, seed: Any) -> dict:
            terms = self._model.score(image, code, memory, seed)
            if bounds:
                seeds = ops.split_seed(seed, 2)
                terms.update(self._bounds(image, code, memory, *seeds))
            return terms

        return leave_each_out(self._model, images, codes, weights, seed, score)

    def _bounds(
        self, images: Any, codes: Any, memory: Any, draw_seed: Any, seed: Any
    ) -> dict[str, Any]:
        return bounds_of_codes(
            self._model,
            images,
            codes,
            memory,
            self._num_samples,
            draw_seed,
            seed,
            self._advance,
        )
