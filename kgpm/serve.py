"""Serves an exported model to this machine: REST and gRPC, by KServe.

Answers TensorFlow Serving's REST (POST /v1/models/NAME:predict), KServe's
protocol v2 over REST and, with --grpc_port, over gRPC. Keeps nothing between
requests: a memory travels with each. There is no password and no encryption;
other machines are let in by --host, behind a proxy that has both.

Example:

    python -m kgpm.serve --export_dir=saved_models/digits
"""

import sys

from kgpm.cli import flags
from kgpm.cli.flag_groups import definers
from kgpm.cli.main import run
from kgpm.cli.served_flags import check_served
from kgpm.cli.served_flags import define_served_flags


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    define_served_flags(values)
    integer = definers(values, "program")[1]
    ports = {"lower_bound": 0, "upper_bound": 65535}
    limits = {"lower_bound": 1, "upper_bound": 1024}
    integer(
        "port",
        8501,
        "Port of REST; 0 takes a free one and says which.",
        **ports,
    )
    integer(
        "grpc_port",
        0,
        "Port of KServe's gRPC (protocol v2), such as 8081; 0 has none.",
        **ports,
    )
    integer("max_request_mb", 16, "Largest request, MiB.", **limits)
    integer(
        "max_concurrency",
        8,
        "Calls that run at a time; four times as many wait, more are refused.",
        **limits,
    )
    integer("max_batch", 64, "Most episodes of one request.", lower_bound=1)


def check(values: flags.FlagValues) -> None:
    """Refuses what cannot be served before TensorFlow loads."""
    check_served(values, "kserve", "serve", ("port", "grpc_port"))


def main(values: flags.FlagValues) -> None:
    """Serves the model."""
    from kgpm.serving.kserve.server import KServeServer

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
