"""Models on disk: saved in one step, loaded, compared with the flags."""

import json
import os
from pathlib import Path
from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.files import atomic_path
from kgpm.files import read_json
from kgpm.training.run_directory import CHECKPOINTS
from kgpm.training.run_directory import RunDirectory


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
    # The import registers the classes of the models.
    import kgpm.models

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
        model = keras.saving.load_model(path, compile=False)
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
    if not isinstance(model, kgpm.models.BoundModel):
        raise UserError(
            f"Expected {path} to hold a model of this package, received a "
            f"{type(model).__name__}: use another --model_dir"
        )
    return model


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model so that `path` always holds a complete one.

    Raises:
        OSError: if it cannot be written; an older file is then unchanged.
    """
    with atomic_path(path) as temporary:
        model.save(temporary)


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
