"""What a read cuts out: windows of an image and of a memory (figure 11).

Two pictures: an image of the episode with a region framed and what
`kgpm.ops.read_windows` extracts there; the memory itself, the windows that the
mean keys of some images place in it, and their traces.
"""

from pathlib import Path

import numpy as np

from kgpm import ops
from kgpm.cli import flags
from kgpm.errors import UserError
from kgpm.experiments.first_episode import FirstEpisode
from kgpm.experiments.first_episode import open_first_episode
from kgpm.layers import BlockMemory
from kgpm.pictures import drawing

# (s, x, y) of the windows shown on an image.
_SHOWN = ((1.0, 0.0, 0.0), (0.5, 0.3, -0.3), (0.4, -0.5, 0.4), (-0.6, 0.2, 0.1))
_POINTS = 64


def draw(values: flags.FlagValues) -> list[Path]:
    """Draws the pictures of the run in `--model_dir`."""
    episode = open_first_episode(values)
    memory = episode.model.memory
    if not isinstance(memory, BlockMemory):
        raise UserError(
            "Expected a run of a model whose memory has windows (kpp), "
            f"received one of {type(episode.model).__name__}."
        )
    return [_of_an_image(episode), _of_the_memory(values, episode)]


def framed(image: np.ndarray, window: tuple) -> np.ndarray:
    """An image `[H, W, C]` in RGB with the border of a window drawn.

    Returns:
        `[_POINTS, _POINTS, 3]`, the image resampled.
    """
    whole = _read(image, (1.0, 0.0, 0.0))
    whole = np.broadcast_to(whole, (*whole.shape[:2], 3)).copy()
    scale, x, y = window
    ends = [
        np.clip((np.array([-1, 1]) * abs(scale) + shift + 1) / 2, 0, 1)
        for shift in (y, x)
    ]
    (top, bottom), (left, right) = (
        np.rint(each * (_POINTS - 1)).astype(int) for each in ends
    )
    colour = (0.84, 0.37, 0.0)
    whole[[top, bottom], left : right + 1] = colour
    whole[top : bottom + 1, [left, right]] = colour
    return whole


def _of_an_image(episode: FirstEpisode) -> Path:
    image = episode.images[0]
    rows = [
        [framed(image, window) for window in _SHOWN],
        [_read(image, window) for window in _SHOWN],
    ]
    path = episode.folder / "kpp_windows_image.png"
    drawing.sheet(
        rows,
        path,
        row_labels=["region", "window"],
        column_labels=[f"s={s:g}\nx={x:g}, y={y:g}" for s, x, y in _SHOWN],
        title=f"windows of an image of {episode.name}",
    )
    return path


def _of_the_memory(values: flags.FlagValues, episode: FirstEpisode) -> Path:
    model, memory = episode.model, episode.model.memory
    cells = _stretched(np.asarray(episode.memory["cells"])[0])
    keys = memory.keys_of(model.encode(episode.images[None]))
    windows = np.asarray(memory.windows(keys))[0]
    rows = []
    for index in range(min(values.num_samples, len(episode.images))):
        row = [_read(episode.images[index], (1.0, 0.0, 0.0))]
        for window in windows[index]:
            row += [framed(cells, tuple(window)), _read(cells, tuple(window))]
        rows.append(row)
    labels = ["image"]
    for number in range(1, memory.num_reads + 1):
        labels += [f"region {number}", f"window {number}"]
    path = episode.folder / "kpp_windows_memory.png"
    drawing.sheet(
        rows,
        path,
        column_labels=labels,
        title="where mean keys look in the memory (first three channels)",
        wide_gaps=range(1, len(labels), 2),
    )
    return path


def _read(image: np.ndarray, window: tuple) -> np.ndarray:
    points = ops.read_windows(
        np.asarray(image, "float32")[None],
        np.asarray(window, "float32").reshape(1, 1, 1, 3),
        (_POINTS, _POINTS),
    )
    return np.asarray(points)[0, 0]


def _stretched(cells: np.ndarray) -> np.ndarray:
    """Cells as RGB in [0, 1], each channel over its range."""
    low, high = cells.min(axis=(0, 1)), cells.max(axis=(0, 1))
    cells = (cells - low) / np.maximum(high - low, 1e-12)
    return np.resize(cells.transpose(2, 0, 1), (3, *cells.shape[:2])).transpose(
        1, 2, 0
    )
