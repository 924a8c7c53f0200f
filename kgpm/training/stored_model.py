"""Models on disk: saved in one step, loaded, compared with the flags."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from kgpm.errors import UserError
from kgpm.files import atomic_path
from kgpm.files import read_json
from kgpm.training.run_directory import CHECKPOINTS
from kgpm.training.run_directory import RunDirectory

# The flag of an argument, where it has another name.
_FLAGS = {
    "dtype": "--dtype_policy",
    "image_shape": "the image shape",
    "stem": "--encoder",
    "variance": "--data_variance",
}
# What follows from the likelihood, the image shape and the size of a latent.
_FOLLOWING = ("num_parameters", "grid_shape", "decoder.code_size")


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
    if stored is None:
        return
    if stored["class"] != current["class"]:
        found = [
            f"it is a {stored['class']} and the flags ask for a "
            f"{current['class']}"
        ]
    else:
        found = _differences(stored["config"], current["config"])
    if found:
        raise UserError(
            f"{run.path} holds a checkpoint of another model: "
            f"{', '.join(found)}; leave that flag out to go on with the run's "
            "own value, or use another --model_dir"
        )


def describe_model(model: keras.Model) -> dict[str, Any]:
    """Returns the class and configuration of a model as plain JSON values."""
    text = json.dumps(model.get_config(), default=str)
    return {"class": type(model).__name__, "config": json.loads(text)}


def _differences(old: dict, new: dict) -> list[str]:
    """What differs in two configurations, each flag once."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    found = {}
    for path in {**before, **after}:
        part, _, argument = path.rpartition(".")
        if before.get(path) == after.get(path) or path.endswith(_FOLLOWING):
            continue
        # The arguments of another class say no more.
        if before.get(part) == after.get(part):
            flag = _FLAGS.get(argument, f"--{argument}")
            found[flag] = f"was {before.get(path)} and is now {after.get(path)}"
    return [f"{flag} {values}" for flag, values in found.items()]


def _leaves(config: dict, part: str = "") -> Iterator[tuple[str, Any]]:
    """Values by their paths, such as `memory.solver`, and classes of parts."""
    for name, value in config.items():
        path = f"{part}.{name}" if part else name
        if name in ("name", "trainable"):
            continue
        if not isinstance(value, dict) or "class_name" not in value:
            yield path, value
        elif name == "dtype":
            yield path, value["config"]["name"]
        else:
            yield path, value["class_name"]
            yield from _leaves(value.get("config") or {}, path)
