"""The flags of the programs that show an export. No TensorFlow."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from kgpm.cli import flags
from kgpm.cli.flag_groups import definers
from kgpm.errors import UserError
from kgpm.serving.addresses import listening_socket
from kgpm.serving.export.versions import latest_version


def define_served_flags(values: flags.FlagValues) -> None:
    """Defines which export, and who may ask.

    Args:
        values: the program's `FlagValues`.
    """
    string, integer, *_ = definers(values, "program")
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
        "Address to listen on: 127.0.0.1 is for this machine alone, 0.0.0.0 "
        "for everybody who can reach it.",
    )


def check_served(
    values: flags.FlagValues, package: str, extra: str, ports: Sequence[str]
) -> None:
    """Refuses what cannot be served before TensorFlow loads.

    Args:
        values: flags of `define_served_flags`.
        package: what must be installed.
        extra: of this package, that brings it.
        ports: names of the flags of ports; 0 can be listened on always.

    Raises:
        UserError: it is not installed, there is no export, or an address that
            cannot be listened on.
    """
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"this needs {package}, which is not installed: pip install "
            f"'kgpm[{extra}]'"
        )
    latest_version(Path(values.export_dir), values.version)
    # Gradio and gRPC take no socket: this one goes again.
    for flag in ports:
        listening_socket(values.host, getattr(values, flag), flag).close()
