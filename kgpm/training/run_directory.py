"""The directory of a run: what lies where, and how it is written and read.

flags.cfg                        every flag of the run, for --flagfile
metrics.csv                      a row per epoch
metrics.json                     the final table
logs/                            TensorBoard
checkpoints/{best,last}.keras    models, each with a .json beside it
backup/                          what --resume needs
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

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

    def create(self, resume: bool = False) -> None:
        """Creates the directory, or accepts it for a resumed run.

        Args:
            resume: whether what is there shall be continued.

        Raises:
            UserError: if something is there and `resume` is false, or if
                `resume` is true and no run is there.
            OSError: if the directory cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(
                f"--model_dir must be a directory, but {self.path} is a file"
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
        for directory in (self.logs, self.checkpoints, self.backup):
            directory.mkdir(parents=True, exist_ok=True)
        # A directory that cannot be written is found now and not after the
        # first epoch.
        with atomic_path(self.path / ".writable") as probe:
            probe.touch()
        (self.path / ".writable").unlink()

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


def load_model(
    model_dir: str | os.PathLike, checkpoint: str = "best"
) -> keras.Model:
    """Loads the model of a run, not compiled.

    Args:
        model_dir: the run's directory.
        checkpoint: `"best"` or `"last"`.

    Returns:
        The model.

    Raises:
        UserError: if there is no such run or checkpoint, or the file is
            damaged.
    """
    import kgpm.models  # noqa: F401  (registers the classes of the models)

    run = RunDirectory(model_dir)
    if checkpoint not in CHECKPOINTS:
        raise UserError(
            f"a checkpoint must be one of {', '.join(CHECKPOINTS)}, received "
            f"{checkpoint!r}"
        )
    if not run.path.is_dir():
        run.require()
    path = run.checkpoint(checkpoint)
    if not path.is_file():
        raise UserError(
            f"{run.path} has no checkpoint {checkpoint!r} (looked for {path}): "
            "train for at least one epoch"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except MemoryError:
        raise
    except Exception as error:
        # A damaged archive, HDF5 file or configuration each raise something
        # else, and none of it says which file it was.
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} could not be read as a model of this package "
            f"({type(error).__name__}: {reason}): use the other checkpoint or "
            "train again"
        ) from error


def check_same_model(run: RunDirectory, model: keras.Model) -> None:
    """Checks that a run's last checkpoint is of this very model.

    Args:
        run: the run to resume.
        model: the model that the flags describe.

    Raises:
        UserError: if the class or an argument differs; the message names it.
    """
    stored = read_json(run.backup / "model.json")
    current = describe_model(model)
    if stored is None or stored == current:
        return
    if stored["class"] != current["class"]:
        difference = (
            f"it is a {stored['class']} and the flags ask for a "
            f"{current['class']}"
        )
    else:
        old, new = stored["config"], current["config"]
        difference = ", ".join(
            f"{_flag_of(name)} was {old.get(name)} and is now {new.get(name)}"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        )
    raise UserError(
        f"{run.path} holds a checkpoint of another model: {difference}; leave "
        "that flag out to go on with the run's own value, or use another "
        "--model_dir"
    )


def describe_model(model: keras.Model) -> dict[str, Any]:
    """Returns the class and configuration of a model as plain JSON values."""
    config = {
        name: _plain(value)
        for name, value in model.get_config().items()
        if name not in ("name", "trainable")
    }
    text = json.dumps(config, default=str)
    return {"class": type(model).__name__, "config": json.loads(text)}


def _plain(value: Any) -> Any:
    """A serialised object by its name alone where it has no arguments."""
    if isinstance(value, dict) and "class_name" in value:
        arguments = value.get("config") or {}
        if value["class_name"] == "DTypePolicy":
            return arguments["name"]
        return (
            {value["class_name"]: arguments}
            if arguments
            else (value["class_name"])
        )
    return value


def _flag_of(argument: str) -> str:
    """The flag that sets a constructor's argument."""
    by_data = {"image_shape": "the image shape", "dtype": "--dtype_policy"}
    return by_data.get(argument, f"--{argument}")


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model so that `path` always holds a complete one.

    Raises:
        OSError: if it cannot be written; an older file is then unchanged.
    """
    with atomic_path(path) as temporary:
        model.save(temporary)


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


def _holds_a_file(path: Path) -> bool:
    return any(entry.is_file() for entry in path.rglob("*"))
