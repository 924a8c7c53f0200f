"""The memory as points in TensorBoard's projector."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kgpm import ops
from kgpm.files import write_text
from kgpm.pictures import drawing


class MemoryProjector(keras.callbacks.Callback):
    """Writes the rows of one episode's memory, beside the episode's codes.

    TensorBoard's projector reads three small files, which are written by hand
    because its own callback knows embedding layers only: `projector_config
    .pbtxt`, the vectors as text, and a sprite that shows each row as the image
    it decodes to and each code as the image it is of. They are there from the
    start, because TensorBoard looks for them when it first sees a run, and
    again at the end.

    Args:
        log_dir: directory of the files. TensorBoard looks only where event
            files are, such as `logs` of a run.
        images: `[T, H, W, C]`, the episode.
        seed: of the write's noise if it has any.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: Any,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._log_dir = Path(log_dir)
        self._images = tf.convert_to_tensor(images, "float32")[None]
        self._seed = ops.make_seed(seed)

    def on_train_begin(self, logs: dict | None = None) -> None:
        write_projector(self.model, self._images, self._log_dir, self._seed)

    def on_train_end(self, logs: dict | None = None) -> None:
        write_projector(self.model, self._images, self._log_dir, self._seed)


def write_projector(
    model: Any, images: Any, log_dir: str | os.PathLike, seed: Any = 0
) -> None:
    """Writes the projector's files for the memory of `images`.

    Args:
        model: a `LatentModel`.
        images: `[1, T, H, W, C]`.
        log_dir: where to.
        seed: of the write's noise if it has any.

    Raises:
        OSError: if the files cannot be written.
    """
    log_dir = Path(log_dir)
    log_dir.mkdir(parents=True, exist_ok=True)
    memory = model.write(images, seed=seed)
    rows = np.asarray(model.memory.rows(memory))[0]
    images_of_rows = model.memory.images_of(memory)
    if images_of_rows is None and model.memory.rows_are_latents:
        images_of_rows = model.likelihood.mean(model.decode(rows[None]))
    points, pixels = rows, None
    labels = [f"row {i}" for i in range(len(rows))]
    if images_of_rows is not None:
        pixels = np.asarray(images_of_rows)[0]
    # Where rows are latents too, they share a space and so a plot.
    if model.memory.rows_are_latents:
        # What the images' codes would be decoded from: of the rows' kind.
        codes = np.asarray(model.memory.latents_of(model.encode(images)))[0]
        points = np.concatenate([rows, codes])
        pixels = np.concatenate([pixels, np.asarray(images)[0]])
        labels += [f"image {i}" for i in range(len(codes))]
    config = _embedding(log_dir, "memory", points, labels, pixels)
    write_text(log_dir / "projector_config.pbtxt", config)


def _embedding(
    log_dir: Path,
    name: str,
    points: np.ndarray,
    labels: list[str],
    pixels: np.ndarray | None,
) -> str:
    lines = ["\t".join(f"{x:.7g}" for x in point) for point in points]
    write_text(log_dir / f"{name}.tsv", "\n".join(lines) + "\n")
    write_text(log_dir / f"{name}_labels.tsv", "\n".join(labels) + "\n")
    config = (
        "embeddings {\n"
        f'  tensor_name: "{name}"\n'
        f'  tensor_path: "{name}.tsv"\n'
        f'  metadata_path: "{name}_labels.tsv"\n'
    )
    if pixels is not None:
        sprite = _sprite(pixels)
        drawing.save_png(sprite, log_dir / f"{name}.png")
        height, width = pixels.shape[1:3]
        config += (
            "  sprite {\n"
            f'    image_path: "{name}.png"\n'
            f"    single_image_dim: {width}\n"
            f"    single_image_dim: {height}\n"
            "  }\n"
        )
    return config + "}\n"


def _sprite(pixels: np.ndarray) -> np.ndarray:
    """A square of images `[N, H, W, C]` without gaps, `uint8 [h, w, 3]`."""
    number, height, width, channels = pixels.shape
    side = int(np.ceil(np.sqrt(number)))
    cells = np.zeros((side * side, height, width, channels), "float32")
    cells[:number] = np.clip(pixels, 0.0, 1.0)
    grid = cells.reshape(side, side, height, width, channels).swapaxes(1, 2)
    flat = grid.reshape(side * height, side * width, channels)
    values = np.rint(flat * 255).astype(np.uint8)
    return np.broadcast_to(values, (*values.shape[:2], 3))
