"""Measures how well a memory cleans up corrupted images it has stored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.errors import UserError
from kgpm.evaluation.batches import unpack
from kgpm.evaluation.batches import write_memory
from kgpm.evaluation.energies import code_residual
from kgpm.evaluation.energies import energy
from kgpm.evaluation.summary import mean_and_standard_error
from kgpm.pictures.image_rows import image_errors

# An energy counts as risen only beyond the rounding of a sum over pixels.
ENERGY_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Retrieval:
    """What `measure_retrieval` found, per image.

    Errors are Hamming distances in pixels for binary images, else root mean
    square differences (pixel values in [0, 1]), always to the clean image.

    Attributes:
        binary: whether pixels are 0 or 1.
        query_errors: `[N]`, of the corrupted query itself.
        autoencoder_errors: `[N]`, of the query encoded and decoded without a
            memory.
        read_errors: `[N, S]`, after each read.
        energies: `[N, S + 1]` nats, of the query and after each read.
        residuals: `[N, S + 1]`, squared distance of their codes from the
            memory's read-outs.
        clean: `[m, H, W, C]`, examples.
        queries: `[m, H, W, C]`, their corruptions.
        reads: `[S, m, H, W, C]`, what was read for them.
    """

    binary: bool
    query_errors: np.ndarray
    autoencoder_errors: np.ndarray
    read_errors: np.ndarray
    energies: np.ndarray
    residuals: np.ndarray
    clean: np.ndarray
    queries: np.ndarray
    reads: np.ndarray

    @property
    def unit(self) -> str:
        """What an error counts."""
        return "pixels that differ" if self.binary else "rms error"

    def summary(self) -> dict:
        """Means over images with standard errors, for a JSON file."""
        steps = self.read_errors.T
        rises = np.diff(self.energies, axis=1) > ENERGY_TOLERANCE
        return {
            "num_images": len(self.query_errors),
            "unit": self.unit,
            "query": mean_and_standard_error(self.query_errors),
            "autoencoder": mean_and_standard_error(self.autoencoder_errors),
            "reads": [mean_and_standard_error(errors) for errors in steps],
            "energy": [mean_and_standard_error(e) for e in self.energies.T],
            "residual": [mean_and_standard_error(r) for r in self.residuals.T],
            "energy_tolerance": ENERGY_TOLERANCE,
            "energy_rises": float(rises.mean()),
        }


def measure_retrieval(
    model: Any,
    dataset: Any,
    corrupt: Callable[[Any, Any], Any],
    *,
    num_steps: int = 10,
    threshold: float = 0.5,
    num_images: int = 512,
    num_examples: int = 8,
    seed: int = 0,
) -> Retrieval:
    """Writes clean episodes, then reads corrupted queries back repeatedly.

    Args:
        model: a `LatentModel`; one without a memory reads each query alone.
        dataset: batches `{"images": [B, T, H, W, C], "weights": [B, T]}`.
        corrupt: `(images, seed) -> images`, of one shape.
        num_steps: reads, at least 1.
        threshold: probability from which a binary pixel is fed back as 1.
        num_images: images to measure; fewer if the data set has fewer.
        num_examples: images kept for a picture.
        seed: of the corruption and of the write's noise if it has any.

    Raises:
        UserError: if a count is below 1, or the data set has no image.
    """
    for name, count in (("num_steps", num_steps), ("num_images", num_images)):
        if count < 1:
            raise UserError(
                f"expected {name} of at least 1, received {count}; pass a "
                "larger one"
            )
    binary = is_binary(model)

    @tf.function(autograph=False)
    def measure(images: Any, weights: Any, queries: Any, seed: Any) -> tuple:
        memory = write_memory(model, images, weights, seed)
        reads = model.denoise(
            queries, memory, num_steps=num_steps, threshold=threshold
        )
        plain = model.reconstruct(queries, threshold)
        # The energy contains log p(x) of the pattern, which is defined for
        # 0 and 1 only where pixels are binary.
        start = queries
        if binary:
            start = tf.cast(queries >= 0.5, queries.dtype)
        patterns = tf.concat([start[None], tf.unstack(reads, axis=1)], axis=0)
        # One step after the other: all at once would take S times the memory.
        energies, residuals = (
            tf.transpose(tf.map_fn(of, patterns), (1, 2, 0))
            for of in (
                lambda x: energy(model, x, memory),
                lambda x: code_residual(model, x, memory),
            )
        )
        return reads, plain, energies, residuals

    parts: dict[str, list] = {}
    found = 0
    for index, batch in enumerate(dataset):
        images, weights = unpack(batch)
        if not len(images):
            continue
        batch_seed = ops.fold_in(ops.make_seed(seed), index)
        queries = corrupt(images, batch_seed)
        reads, plain, energies, residuals = measure(
            images, weights, queries, batch_seed
        )
        mask = np.asarray(weights) > 0
        # Images first, steps after them: [n, S, H, W, C].
        reads = np.moveaxis(np.asarray(reads), 1, 2)[mask]
        clean, noisy = np.asarray(images)[mask], np.asarray(queries)[mask]
        plain = np.asarray(plain)[mask]
        keep = slice(0, num_images - found)
        kept = slice(0, max(0, num_examples - found))
        for name, values in {
            "query_errors": image_errors(noisy, clean, binary=binary)[keep],
            "autoencoder_errors": image_errors(plain, clean, binary=binary)[
                keep
            ],
            "read_errors": image_errors(reads, clean[:, None], binary=binary)[
                keep
            ],
            "energies": np.asarray(energies)[mask][keep],
            "residuals": np.asarray(residuals)[mask][keep],
            "clean": clean[kept],
            "queries": noisy[kept],
            "reads": reads[kept],
        }.items():
            parts.setdefault(name, []).append(values)
        found += len(clean)
        if found >= num_images:
            break
    if not found:
        raise UserError(
            "expected at least one image to denoise, received none; check the "
            "split"
        )
    arrays = {name: np.concatenate(part) for name, part in parts.items()}
    arrays["reads"] = np.moveaxis(arrays["reads"], 1, 0)
    return Retrieval(binary=binary, **arrays)


def is_binary(model: Any) -> bool:
    """Whether the model's likelihood is of pixels that are 0 or 1."""
    return model.likelihood.name == "bernoulli"
