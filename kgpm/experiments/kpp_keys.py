"""What a fixed memory answers to keys (figures 7 and 8).

Two pictures: one set of keys with a little noise added, again and again, and
keys drawn anew from N(0, I) for every image. Latents are the means of
p(z | y, M), so that images differ by their keys alone.
"""

from pathlib import Path
from typing import Any

import numpy as np

from kgpm import ops
from kgpm.cli import flags
from kgpm.experiments.first_episode import FirstEpisode
from kgpm.experiments.first_episode import open_first_episode
from kgpm.pictures import drawing

# The paper says N(0, 0.1); here its standard deviation.
_PERTURBATION = 0.1
_COLUMNS = 8


def draw(values: flags.FlagValues) -> list[Path]:
    """Draws the pictures of the run in `--model_dir`."""
    episode = open_first_episode(values)
    key_seed, noise_seed, random_seed = ops.split_seed(values.seed, 3)
    memory = episode.model.memory
    count = values.num_samples
    one = memory.sample_keys(1, 1, key_seed)
    near = one + _PERTURBATION * memory.sample_keys(1, count, noise_seed)
    return [
        _grid(
            episode,
            near,
            "kpp_keys_perturbed.png",
            f"one set of keys plus N(0, {_PERTURBATION:g}^2)",
        ),
        _grid(
            episode,
            memory.sample_keys(1, count, random_seed),
            "kpp_keys_random.png",
            "keys from N(0, I)",
        ),
    ]


def _grid(episode: FirstEpisode, keys: Any, name: str, title: str) -> Path:
    model = episode.model
    latents = model.memory.latent_prior(episode.memory, keys).mean
    drawn = model.generate_from(latents, episode.memory, num_steps=1)
    images = np.asarray(drawn)[0, 0]
    rows = [
        list(images[start : start + _COLUMNS])
        for start in range(0, len(images), _COLUMNS)
    ]
    path = episode.folder / name
    drawing.sheet(rows, path, title=f"{title}; one memory of {episode.name}")
    return path
