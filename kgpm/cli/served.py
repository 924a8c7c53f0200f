"""What is refused before TensorFlow loads where an export is to be served."""

import importlib.util
from pathlib import Path

from kgpm.cli import flags
from kgpm.errors import UserError
from kgpm.serving.export.versions import latest_version


def check_served(values: flags.FlagValues, package: str, extra: str) -> None:
    """Checks that there is an export and what serves it.

    Args:
        values: flags of the group `served`.
        package: what must be installed.
        extra: of this package, that brings it.

    Raises:
        UserError: it is not installed, or there is no export.
    """
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"this needs {package}, which is not installed: pip install "
            f"'kgpm[{extra}]'"
        )
    latest_version(Path(values.export_dir), values.version)
