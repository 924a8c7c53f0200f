"""Lays out what a model did with images as the rows of a picture sheet.

Each function takes arrays and returns the arguments of `pictures.draw_sheet`.
"""

from typing import Any

import numpy as np


def reconstructions(originals: Any, reads: Any, per_row: int = 16) -> dict:
    """Originals above what was read for them.

    Args:
        originals: `[N, H, W, C]`.
        reads: `[N, H, W, C]`.
        per_row: images beside each other before the next pair of rows.
    """
    originals, reads = np.asarray(originals), np.asarray(reads)
    rows = []
    for start in range(0, len(originals), per_row):
        rows.append(list(originals[start : start + per_row]))
        rows.append(list(reads[start : start + per_row]))
    return {"rows": rows, "row_labels": ["image", "read"] * (len(rows) // 2)}


def denoising(clean: Any, corrupted: Any, reads: Any) -> dict:
    """Each row: the clean image, the corrupted query, then every read.

    Args:
        clean: `[N, H, W, C]`.
        corrupted: `[N, H, W, C]`.
        reads: `[S, N, H, W, C]`, first read first.
    """
    reads = np.asarray(reads)
    columns = [np.asarray(clean), np.asarray(corrupted), *reads]
    return {
        "rows": [list(row) for row in zip(*columns, strict=True)],
        "column_labels": ["clean", "query", *_read_labels(len(reads))],
        "wide_gaps": (1, 2),
    }


def generation(steps: Any, written: Any, *, binary: bool) -> dict:
    """Each row: one sample step by step, then the nearest written image.

    The nearest image shows what is new in a sample: it is the one at the
    smallest Hamming distance (binary) or root mean square error.

    Args:
        steps: `[S, N, H, W, C]`, first step first.
        written: `[T, H, W, C]`, the images of the memory's episode.
        binary: whether pixels are 0 or 1.
    """
    steps, written = np.asarray(steps), np.asarray(written)
    index, distance = nearest(steps[-1], written, binary=binary)
    rows = [
        [*steps[:, sample], written[index[sample]]]
        for sample in range(steps.shape[1])
    ]
    labels = [f"step {number}" for number in range(1, len(steps) + 1)]
    unit = "{:.0f} px" if binary else "rms {:.3f}"
    return {
        "rows": rows,
        "row_labels": [unit.format(value) for value in distance],
        "column_labels": [*labels, "nearest\nwritten"],
        "highlight": (len(steps),),
        "wide_gaps": (len(steps),),
    }


def nearest(
    images: Any, candidates: Any, *, binary: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The candidate closest to each image, and how far away it is.

    Args:
        images: `[N, H, W, C]`.
        candidates: `[T, H, W, C]`.
        binary: Hamming distance in pixels; else the root mean square
            difference, which orders candidates as the Euclidean distance.

    Returns:
        Indices `[N]` into `candidates` and distances `[N]`.
    """
    candidates = np.asarray(candidates, "float64")
    distances = np.stack(
        [
            image_errors(image[None], candidates, binary=binary)
            for image in np.asarray(images, "float64")
        ]
    )
    index = distances.argmin(axis=1)
    return index, distances[np.arange(len(index)), index]


def image_errors(images: Any, clean: Any, *, binary: bool) -> np.ndarray:
    """How far images are from clean ones, one number an image.

    Args:
        images: `[..., H, W, C]`.
        clean: `[..., H, W, C]`, broadcast against `images`.
        binary: count pixels that differ after a threshold at one half
            (Hamming distance); else the root mean square difference.

    Returns:
        `[...]`: pixels, or units of the image range [0, 1].
    """
    images = np.asarray(images, "float64")
    clean = np.asarray(clean, "float64")
    axes = (-3, -2, -1)
    if binary:
        return ((images >= 0.5) != (clean >= 0.5)).sum(axis=axes).astype(float)
    return np.sqrt(np.mean((images - clean) ** 2, axis=axes))


def _read_labels(number: int) -> list[str]:
    return [f"read {step}" for step in range(1, number + 1)]
