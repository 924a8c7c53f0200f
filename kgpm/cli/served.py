"""What is refused before TensorFlow loads where an export is to be served."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from kgpm.cli import flags
from kgpm.errors import UserError
from kgpm.serving.addresses import listening_socket
from kgpm.serving.export.versions import latest_version


def check_served(
    values: flags.FlagValues, package: str, extra: str, ports: Sequence[str]
) -> None:
    """Checks that there is an export and what serves it.

    Args:
        values: flags of the group `served`.
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
