"""The directory of a run: what lies where, and how it is written and read.

flags.cfg                        every flag of the run, for --flagfile
metrics.csv                      a row per epoch
metrics.json                     the final table
logs/                            TensorBoard
checkpoints/{best,last}.keras    models, each with a .json beside it
backup/                          what --resume needs
"""

import errno
import os
from pathlib import Path

from kgpm.errors import UserError

CHECKPOINTS = ("best", "last")


class RunDirectory:
    """Names the files of a run and opens its directory.

    Args:
        path: the directory, `--model_dir`.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.flags = self.path / "flags.cfg"
        self.metrics_csv = self.path / "metrics.csv"
        self.metrics_json = self.path / "metrics.json"
        self.logs = self.path / "logs"
        self.checkpoints = self.path / "checkpoints"
        self.backup = self.path / "backup"

    def checkpoint(self, name: str) -> Path:
        """Returns the path of a checkpoint, `"best"` or `"last"`."""
        return self.checkpoints / f"{name}.keras"

    def check(self, resume: bool = False) -> None:
        """Checks, without a change, that a run can begin or go on here.

        Args:
            resume: whether what is there shall be continued.

        Raises:
            UserError: if something is there and `resume` is false, or if
                `resume` is true and no run is there.
            OSError: if the directory cannot be written.
        """
        nearest = self.path.absolute()
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            raise UserError(
                f"--model_dir must be a directory, but {nearest} is a file"
            )
        if resume and not self.flags.is_file():
            raise UserError(
                f"--resume found no run in {self.path} (no flags.cfg): leave "
                "--resume out to start one"
            )
        if not resume and _holds_a_file(self.path):
            raise UserError(
                f"--model_dir={self.path} is not empty: add --resume to "
                "continue that run or name another directory"
            )
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(
                errno.EACCES, os.strerror(errno.EACCES), str(nearest)
            )

    def create(self) -> None:
        """Creates the directories that are missing.

        Raises:
            OSError: if one cannot be created.
        """
        for directory in (self.logs, self.checkpoints, self.backup):
            directory.mkdir(parents=True, exist_ok=True)

    def require(self) -> None:
        """Checks that a run is there.

        Raises:
            UserError: if not.
        """
        if not self.path.is_dir():
            raise UserError(
                f"--model_dir={self.path} does not exist: train a run first "
                "with python -m kgpm.train"
            )
        if not self.flags.is_file():
            raise UserError(
                f"--model_dir={self.path} holds no run (no flags.cfg): train "
                "one first with python -m kgpm.train"
            )


def _holds_a_file(path: Path) -> bool:
    return any(entry.is_file() for entry in path.rglob("*"))
