"""Episode length and number of reads of Kanerva++ (figure 10).

Trains from `--base` with each of `--lengths` and each of `--reads`,
`--num_seeds` times, below `--model_dir`, and draws the test bound against the
length and the divergences against the reads. Every step sees as many images,
whatever the length. What is there already is not trained again.
"""

from pathlib import Path
from typing import Any

import numpy as np

from kgpm.cli import flags
from kgpm.experiments.training_runs import TrainedRun
from kgpm.experiments.training_runs import figure_value
from kgpm.experiments.training_runs import mean_and_deviation
from kgpm.experiments.training_runs import seeds_title
from kgpm.experiments.training_runs import train
from kgpm.pictures import drawing
from kgpm.pictures.line_panel import Panel

LENGTHS = (5, 8, 16, 32, 64)


def draw(values: flags.FlagValues) -> list[Path]:
    """Trains what is missing and draws both panels."""
    folder = Path(values.model_dir)
    lengths = [int(length) for length in values.lengths or LENGTHS]
    reads = [int(number) for number in values.reads]

    def runs(name: str, number: int, **settings: Any) -> list[TrainedRun]:
        return [
            train(
                folder / f"{name}_{number}_{seed}",
                values.base,
                seed=seed,
                epochs=values.epochs,
                data_dir=values.data_dir,
                **settings,
            )
            for seed in range(values.num_seeds)
        ]

    by_length = [
        runs(
            "length",
            length,
            episode_length=length,
            batch_size=max(values.images_per_step // length, 1),
        )
        for length in lengths
    ]
    by_reads = [runs("reads", number, num_reads=number) for number in reads]
    panels = [
        _panel(lengths, "images of an episode", by_length, ("nelbo",)),
        _panel(reads, "reads", by_reads, ("kl_z", "kl_y"), total="kl_z + kl_y"),
    ]
    path = folder / "kpp_sizes.png"
    drawing.line_plot(panels, path)
    return [path]


def _panel(
    x: list[int],
    x_label: str,
    runs: list[list[TrainedRun]],
    terms: tuple[str, ...],
    total: str | None = None,
) -> Panel:
    nats = {
        term: np.array(
            [[figure_value(run, term) for run in each] for each in runs]
        ).T
        for term in terms
    }
    if total is not None:
        # Summed before the deviation is taken: the terms vary together.
        nats[total] = np.sum(list(nats.values()), axis=0)
    curves = {name: mean_and_deviation(each) for name, each in nats.items()}
    return Panel(
        x=np.array(x),
        x_label=x_label,
        y_label="test, nats per image",
        title=seeds_title(len(runs[0])),
        curves=curves,
    )
