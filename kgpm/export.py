"""Exports a run's model for TensorFlow Serving and other servers.

Writes `--export_dir/<version>/`: a SavedModel with named signatures (write,
read, denoise, generate, score, ...), a model card and requests for warming up,
and beside the versions what a server needs. No half version is ever seen, and
none is overwritten.

Example:

    python -m kgpm.export --model_dir=runs/digits \\
        --export_dir=saved_models/digits
"""

import sys

from kgpm.cli import flags
from kgpm.cli.flag import Flag
from kgpm.cli.main import run

FLAGS = (
    flags.row("model_dir"),
    flags.row("checkpoint"),
    flags.row("export_dir"),
    flags.row("version"),
    Flag(
        "max_answer_mb",
        "integer",
        32,
        "Largest answer that the model gives, of float32; a request for more "
        "is refused.",
        unit="MiB",
        least=1,
        most=4096,
    ),
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define(values, own=FLAGS)


def check(values: flags.FlagValues) -> None:
    """Refuses what cannot be exported before TensorFlow loads."""
    from pathlib import Path

    from kgpm.serving.export.versions import new_version_path
    from kgpm.training.run_directory import RunDirectory

    RunDirectory(values.model_dir).require()
    new_version_path(Path(values.export_dir), values.version)


def main(values: flags.FlagValues) -> None:
    """Exports the model."""
    # Imported here so that --help does not wait for TensorFlow.
    from kgpm.cli.run_flags import stored_flags
    from kgpm.data.sources import licence_of
    from kgpm.files import read_json
    from kgpm.serving import export_model
    from kgpm.serving.export.warmup import can_write_warmup
    from kgpm.training.run_directory import RunDirectory
    from kgpm.training.stored_model import load_model

    directory = RunDirectory(values.model_dir)
    lines = directory.flags.read_text(encoding="utf-8").splitlines()
    path = export_model(
        load_model(values.model_dir, values.checkpoint),
        values.export_dir,
        version=values.version,
        max_numbers=values.max_answer_mb * 2**18,
        metrics=read_json(directory.metrics_json)
        if values.checkpoint == "best"
        else None,
        # Where things lay is nobody else's concern.
        flags="\n".join(
            line
            for line in lines
            if line.startswith("--")
            and not line.startswith(("--data_dir=", "--model_dir="))
        ),
        licence=licence_of(stored_flags(values.model_dir).dataset),
    )
    if not can_write_warmup():
        print(
            "no requests for warming up were written: they need pip install "
            "'kgpm[serving]'"
        )
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(run("kgpm.export", main, define_flags, __doc__, check=check))
