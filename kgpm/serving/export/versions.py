"""The directory of an export: numbered versions, none of them ever half.

NAME/<version>/           a SavedModel, README.md and signatures.json
NAME/models.config ...    what a server needs to find them
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kgpm.errors import UserError

SIGNATURES_FILE = "signatures.json"
SAVED_MODEL_FILE = "saved_model.pb"
# TensorFlow Serving takes int64, and `date +%s` is a usual choice.
HIGHEST_VERSION = 2**63 - 1


def versions(export_dir: Path) -> list[int]:
    """The versions in a directory, lowest first."""
    if not export_dir.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in export_dir.iterdir()
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    )


def latest_version(export_dir: Path, version: int | None = None) -> Path:
    """The directory of a version, by default the highest.

    Raises:
        UserError: if there is none.
    """
    found = versions(export_dir)
    if version is None and found:
        version = found[-1]
    path = export_dir / str(version)
    if version not in found or not (path / SAVED_MODEL_FILE).is_file():
        there = ", ".join(map(str, found)) or "none"
        raise UserError(
            f"--export_dir={export_dir} holds no "
            f"{'export' if version is None else f'version {version}'} "
            f"(versions there: {there}): write one with python -m kgpm.export"
        )
    return path


def new_version_path(export_dir: Path, version: int | None = None) -> Path:
    """The directory that a new version will be.

    Args:
        export_dir: of all versions.
        version: the number; by default one more than the highest.

    Raises:
        UserError: if that version is there, or `export_dir` is a file.
    """
    if export_dir.exists() and not export_dir.is_dir():
        raise UserError(
            f"--export_dir must be a directory, but {export_dir} is a file"
        )
    if version is None:
        version = max(versions(export_dir), default=0) + 1
    if not 1 <= version <= HIGHEST_VERSION:
        raise UserError(
            f"--version must be from 1 to {HIGHEST_VERSION}, received {version}"
        )
    target = export_dir / str(version)
    _refuse_existing(target)
    return target


@contextlib.contextmanager
def new_version(
    export_dir: Path, version: int | None = None
) -> Iterator[tuple[Path, Path]]:
    """Gives a directory that becomes a version when the block succeeds.

    A server that polls the folder sees the whole version or nothing. A
    version that is there is never touched.

    Args:
        export_dir: of all versions.
        version: the number; by default one more than the highest.

    Yields:
        The directory to write to, and what it will be.

    Raises:
        UserError: if that version is there, or `export_dir` is a file.
        OSError: if it cannot be written.
    """
    target = new_version_path(export_dir, version)
    export_dir.mkdir(parents=True, exist_ok=True)
    # No server takes a name that is not a number.
    temporary = Path(tempfile.mkdtemp(prefix=".export-", dir=export_dir))
    try:
        # `mkdtemp` is for its owner alone; a server is often another user.
        temporary.chmod(0o777 & ~_umask())
        yield temporary, target
        _refuse_existing(target)
        # Fails where another export was faster.
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise UserError(
            f"{target} is there already, and a version is never overwritten: "
            "leave --version out to take the next number"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
