"""Files that are written beside their name and then renamed: never half."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kgpm.errors import UserError


def copy_file(source: Path, path: Path) -> None:
    """Copies a file so that `path` always holds a complete one.

    Raises:
        OSError: if it cannot be written; an older file is then unchanged.
    """
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step.

    Raises:
        OSError: if it cannot be written; an older file is then unchanged.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file in one step (`write_text`)."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any | None:
    """Reads a JSON file; None if there is none.

    Raises:
        UserError: if it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): delete it") from error


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` that replaces it when the block succeeds.

    The content is on the disk before the name changes, so a crash or a full
    disk leaves either the old file or the new one.

    Args:
        path: the file to write.

    Yields:
        The path to write to, in the same directory, with the same suffix.
    """
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
