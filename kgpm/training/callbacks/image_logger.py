"""Pictures and diagnostics in TensorBoard while a model trains."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.errors import UserError
from kgpm.evaluation.retrieval import is_binary
from kgpm.pictures import drawing
from kgpm.pictures import image_rows
from kgpm.training.callbacks.averaged_weights import averaged_weights


class ImageLogger(keras.callbacks.Callback):
    """Writes what one fixed episode looks like to the model, as it learns.

    Every `every` epochs: `reconstructions` (images above their reads),
    `denoising` (clean, corrupted query, each read), `generation` (samples step
    by step, with the nearest written image), and the model's `diagnostics` of
    that episode as scalars. The same episode, corruption and noise each time,
    from seeds of their own: training draws the same numbers with and without
    this callback.

    Args:
        log_dir: directory of the event file, `logs/images` of a run.
        images: `[T, H, W, C]`, the episode, best one of the validation split.
        corrupt: `(images, seed) -> images`, `[1, n, H, W, C]`.
        every: epochs between pictures; the first epoch and the last one
            always have some.
        num_steps: reads and generation steps.
        num_rows: images denoised, and samples generated.
        threshold: see `LatentModel.denoise`.
        seed: of corruption and generation.

    Raises:
        UserError: if `every` is below 1 or `images` is not an episode.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: Any,
        corrupt: Callable[[Any, Any], Any],
        *,
        every: int = 1,
        num_steps: int = 10,
        num_rows: int = 8,
        threshold: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        images = tf.convert_to_tensor(images, "float32")
        if images.shape.rank != 4 or not images.shape[0]:
            raise UserError(
                "ImageLogger expected one episode of images [T, H, W, C], "
                f"received shape {tuple(images.shape)}; pass batch['images'][0]"
            )
        if every < 1:
            raise UserError(
                f"ImageLogger expected every of at least 1, received {every}; "
                "leave the callback out for no pictures"
            )
        self._log_dir = Path(log_dir)
        self._images = images[None]
        self._every = every
        self._num_steps = num_steps
        self._num_rows = num_rows
        self._threshold = threshold
        corrupt_seed, self._seed = ops.split_seed(ops.make_seed(seed), 2)
        self._queries = corrupt(self._images[:, :num_rows], corrupt_seed)
        self._epoch = self._written = 0
        self._writer: Any = None
        self._begin: Any = None
        self._reads: Any = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        model, threshold = self.model, self._threshold

        def begin(images: Any, seed: Any) -> tuple:
            """The memory, what is read, the first samples, diagnostics."""
            codes, memory = model.encode(images), None
            if model.memory.stores:
                memory = model.memory.write(codes, seed=seed)
            latents = model.mean_latents(codes, model.memory.recall(memory))
            read = model.likelihood.mean(model.decode(latents))
            first = None
            if model.memory.has_prior:
                first = model.generate(
                    memory, self._num_rows, 1, seed, threshold
                )[:, 0]
            return memory, read, first, model.memory.diagnostics(codes, memory)

        def reads(images: Any, memory: Any) -> Any:
            return model.denoise(images, memory, self._num_steps, threshold)

        # Queries and samples are read by one and the same function, and
        # autograph would find nothing: to trace takes longer than to draw.
        self._begin = tf.function(begin, autograph=False)
        self._reads = tf.function(reads, autograph=False)
        self._writer = tf.summary.create_file_writer(str(self._log_dir))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch + 1
        if epoch % self._every == 0:
            self._write()

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._epoch != self._written:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        self._written = self._epoch
        images, queries = self._images[0].numpy(), self._queries[0].numpy()
        with averaged_weights(self.model):
            memory, read, first, diagnostics = self._begin(
                self._images, self._seed
            )
            denoised = self._reads(self._queries, memory)[0].numpy()
            generated = None
            if first is not None:
                rest = self._reads(first, memory)[0, :-1]
                generated = np.concatenate([first, rest])
        drawn = {
            "reconstructions": image_rows.reconstructions(
                images, read[0].numpy()
            ),
            "denoising": image_rows.denoising(
                images[: len(queries)], queries, denoised
            ),
        }
        if generated is not None:
            drawn["generation"] = image_rows.generation(
                generated, images, binary=is_binary(self.model)
            )
        with self._writer.as_default(step=self._epoch):
            for name, layout in drawn.items():
                tf.summary.image(name, drawing.draw_sheet(**layout)[None])
            for name, value in diagnostics.items():
                tf.summary.scalar(f"diagnostics/{name}", value)
        self._writer.flush()
