"""Scores a trained model on a split: bounds, each term, standard errors.

Prints the figures A (conditional), B (held-out query) and C (memory not
written, or written from another episode) and writes them to metrics.json, or
to metrics_SPLIT.json where the split is not test.

Example:

    python -m kgpm.evaluate --model_dir=runs/digits
"""

import sys

from kgpm.cli import flags
from kgpm.cli.flag import Flag
from kgpm.cli.main import run
from kgpm.cli.run_flags import apply_run_flags
from kgpm.training.run_directory import RunDirectory

FLAGS = (
    Flag(
        "num_draws",
        "integer",
        1,
        "Noise draws averaged per image in the single-sample bounds.",
        least=1,
    ),
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define(values, "run", "data", "stored", "evaluation", own=FLAGS)


def main(values: flags.FlagValues) -> None:
    """Evaluates, prints the table and writes it."""
    # Imported here so that --help does not wait for TensorFlow.
    from kgpm.cli.images import evaluation_batches
    from kgpm.cli.stored_run import open_run
    from kgpm.evaluation.evaluation import evaluate
    from kgpm.evaluation.report import format_table
    from kgpm.evaluation.report import write_metrics

    model, images = open_run(values)
    batches = evaluation_batches(values, images, values.batch_size)
    print(
        f"Evaluating the {values.split} split (batches: {len(batches)}).",
        flush=True,
    )
    result = evaluate(
        model,
        batches,
        seed=values.seed,
        num_draws=values.num_draws,
        num_importance_samples=values.num_importance_samples,
        split=values.split,
        description=images.description,
    )
    directory = RunDirectory(values.model_dir)
    path = directory.metrics_json
    # The final table of the run is of the best model on the test split.
    other = [
        value
        for value, usual in (
            (values.split, "test"),
            (values.checkpoint, "best"),
        )
        if value != usual
    ]
    if other:
        path = path.with_name(f"metrics_{'_'.join(other)}.json")
    write_metrics(result, path)
    print(
        f"That took {result['seconds']:.0f} s.\n\n{format_table(result)}\n\n"
        f"wrote {path}"
    )


if __name__ == "__main__":
    sys.exit(
        run(
            "kgpm.evaluate",
            main,
            define_flags,
            __doc__,
            check=apply_run_flags,
        )
    )
