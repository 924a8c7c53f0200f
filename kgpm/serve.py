"""Serves an exported model to this machine: REST and gRPC, by KServe.

Answers TensorFlow Serving's REST (POST /v1/models/NAME:predict), KServe's
protocol v2 over REST, with JSON or binary tensors, and, with --grpc_port, over
gRPC. Keeps nothing between requests: a memory travels with each. There is no
password and no encryption; other machines are let in by --host, behind a proxy
that has both.

Example:

    python -m kgpm.serve --export_dir=saved_models/digits
"""

import sys

from kgpm.cli import flags
from kgpm.cli.flag import Flag
from kgpm.cli.main import run
from kgpm.cli.served import check_served

# A row a flag.
# fmt: off
FLAGS = (
    Flag("port", "integer", 8501,
         "Port of REST; 0 takes a free one and says which.",
         least=0, most=65535),
    Flag("grpc_port", "integer", 0,
         "Port of KServe's gRPC (protocol v2), such as 8081; 0 has none.",
         least=0, most=65535),
    Flag("max_request_mb", "integer", 16, "Largest request.", unit="MiB",
         least=1, most=1024),
    Flag("max_concurrency", "integer", 8,
         "Calls that run at a time; four times as many wait, more are "
         "refused.", least=1, most=1024),
    Flag("max_batch", "integer", 64, "Most episodes of one request.",
         least=1),
)
# fmt: on


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    flags.define(values, "served", own=FLAGS)


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
