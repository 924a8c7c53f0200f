"""Generation and denoising with a fixed memory, read by read (figure 6).

Three pictures of one episode of the split: samples of random keys and what
becomes of them when they are read again; images with three kinds of noise and
what ten reads make of them, the memory written from the clean images; and the
negative log-likelihood of the clean image after each read.
"""

from pathlib import Path
from typing import Any

import numpy as np

from kgpm import ops
from kgpm.cli import flags
from kgpm.data import make_corruption
from kgpm.evaluation.retrieval import is_binary
from kgpm.experiments.first_episode import FirstEpisode
from kgpm.experiments.first_episode import open_first_episode
from kgpm.pictures import drawing
from kgpm.pictures import image_rows
from kgpm.pictures.line_panel import Panel

# Kinds of noise and their levels; the paper names the kinds alone.
_NOISES = {"salt_and_pepper": 0.15, "speckle": 0.5, "poisson": 8.0}
_COLUMNS = 12


def draw(values: flags.FlagValues) -> list[Path]:
    """Draws the pictures of the run in `--model_dir`."""
    episode = open_first_episode(values)
    noisy, reads = {}, {}
    for index, (kind, level) in enumerate(_NOISES.items()):
        corrupt = make_corruption(kind, level, binary=is_binary(episode.model))
        seed = ops.fold_in(values.seed, index)
        noisy[kind] = np.asarray(corrupt(episode.images, seed))
        reads[kind] = np.asarray(
            episode.model.denoise(
                noisy[kind][None],
                episode.memory,
                values.num_steps,
                values.threshold,
            )
        )[0]
    return [
        _generation(values, episode),
        _denoising(values, episode, noisy, reads),
        _likelihoods(values, episode, noisy, reads),
    ]


def _generation(values: flags.FlagValues, episode: FirstEpisode) -> Path:
    steps = episode.model.generate(
        episode.memory,
        values.num_samples,
        values.num_steps,
        values.seed,
        values.threshold,
    )
    layout = image_rows.generation(
        np.asarray(steps)[0], episode.images, binary=is_binary(episode.model)
    )
    path = episode.folder / "kpp_reads_generation.png"
    drawing.sheet(
        path=path,
        title=f"random keys, read again and again: {episode.name}",
        **layout,
    )
    return path


def _denoising(
    values: flags.FlagValues, episode: FirstEpisode, noisy: dict, reads: dict
) -> Path:
    rows = [list(episode.images[:_COLUMNS])]
    labels = ["written"]
    for kind, level in _NOISES.items():
        rows += [list(noisy[kind][:_COLUMNS]), list(reads[kind][-1][:_COLUMNS])]
        labels += [f"{kind} {level:g}", f"read {values.num_steps}"]
    path = episode.folder / "kpp_reads_denoising.png"
    drawing.sheet(
        rows,
        path,
        row_labels=labels,
        title="memory written from the clean images, queries with noise",
    )
    return path


def _likelihoods(
    values: flags.FlagValues, episode: FirstEpisode, noisy: dict, reads: dict
) -> Path:
    curves: dict[str, Any] = {}
    for kind in _NOISES:
        queries = [noisy[kind], *reads[kind][:-1]]
        nats = np.stack([_read_nll(episode, query) for query in queries])
        error = nats.std(axis=1, ddof=1) / np.sqrt(nats.shape[1])
        curves[kind] = (nats.mean(axis=1), error)
    panel = Panel(
        x=np.arange(1, values.num_steps + 1),
        x_label="read",
        y_label="-log p(clean image | read), nats",
        title=f"{len(episode.images)} images of {episode.name}",
        curves=curves,
    )
    path = episode.folder / "kpp_reads_nll.png"
    drawing.line_plot([panel], path)
    return path


def _read_nll(episode: FirstEpisode, queries: np.ndarray) -> np.ndarray:
    """-log p of each clean image given one mean read of its query, `[T]`."""
    model = episode.model
    latents = model.mean_latents(model.encode(queries[None]), episode.memory)
    log_prob = model.likelihood.log_prob(
        episode.images[None], model.decode(latents), ops.make_seed(0)
    )
    return -np.asarray(log_prob)[0]
