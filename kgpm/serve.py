"""Serves an exported model to this machine: REST and gRPC, by KServe.

Answers TensorFlow Serving's REST (POST /v1/models/NAME:predict), KServe's
protocol v2 over REST and, with --grpc_port, over gRPC. Keeps nothing between
requests: a memory travels with each. There is no password and no encryption;
other machines are let in by --host, behind a proxy that has both.

Example:

    python -m kgpm.serve --export_dir=saved_models/digits
"""

import importlib.util
import sys

from kgpm.cli import flags
from kgpm.cli.flag_groups import definers
from kgpm.cli.main import run
from kgpm.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    string, integer, _, _, _ = definers(values, "program")
    string(
        "export_dir",
        None,
        "Directory that kgpm.export wrote; its name is the name of the "
        "served model. Required.",
    )
    integer(
        "version",
        None,
        "Version to serve; without it the highest there.",
        lower_bound=1,
    )
    string(
        "host",
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 lets every machine in.",
    )
    integer(
        "port",
        8501,
        "Port of REST; 0 takes a free one and says which.",
        lower_bound=0,
        upper_bound=65535,
    )
    integer(
        "grpc_port",
        0,
        "Port of KServe's gRPC (protocol v2), such as 8081; 0 has none.",
        lower_bound=0,
        upper_bound=65535,
    )
    integer(
        "max_request_mb",
        16,
        "Largest request, MiB.",
        lower_bound=1,
        upper_bound=1024,
    )
    integer(
        "max_concurrency",
        8,
        "Calls that run at a time; four times as many wait, more are refused.",
        lower_bound=1,
        upper_bound=1024,
    )
    integer(
        "max_batch",
        64,
        "Most episodes of one request.",
        lower_bound=1,
    )


def check(values: flags.FlagValues) -> None:
    """Refuses what cannot be served before TensorFlow loads."""
    from pathlib import Path

    from kgpm.serving.versions import latest_version

    if importlib.util.find_spec("kserve") is None:
        raise UserError("serving needs KServe: pip install 'kgpm[serve]'")
    if not values.export_dir:
        raise UserError(
            "--export_dir is required: name a directory that kgpm.export "
            "wrote, such as saved_models/NAME"
        )
    latest_version(Path(values.export_dir), values.version)


def main(values: flags.FlagValues) -> None:
    """Serves the model."""
    from kgpm.serving.kserve_server import KServeServer

    server = KServeServer(
        values.export_dir,
        values.version,
        host=values.host,
        port=values.port,
        grpc_port=values.grpc_port,
        max_request_mb=values.max_request_mb,
        max_concurrency=values.max_concurrency,
        max_batch=values.max_batch,
    )
    # At once, for whoever waits for it behind a pipe.
    server.run(lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(run("kgpm.serve", main, define_flags, __doc__, check=check))
