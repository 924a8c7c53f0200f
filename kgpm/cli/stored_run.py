"""What the programs after training open: a run's model and its images."""

import copy
from typing import Any

from kgpm import data
from kgpm.cli import flags
from kgpm.cli.images import load_split
from kgpm.cli.run_flags import stored_flags
from kgpm.errors import UserError
from kgpm.training.stored_model import load_model


def open_run(values: flags.FlagValues) -> tuple[Any, data.ImageSet]:
    """Loads the model of `--model_dir` and the split to work on.

    The images are those of the run: its `--seed` decides how grey ones were
    binarised, while a `--seed` on the command line is that of the program's
    own noise.

    Args:
        values: flags of the groups `run`, `data` and `stored`.

    Returns:
        The model and the images.

    Raises:
        UserError: if there is no run, or the images do not suit the model.
    """
    model = load_model(values.model_dir, values.checkpoint)
    data_values = copy.deepcopy(values)
    data_values.seed = stored_flags(values.model_dir).seed
    images = load_split(data_values, values.split)
    if tuple(images.image_shape) != tuple(model.image_shape):
        raise UserError(
            f"the model in {values.model_dir} takes images of "
            f"{_shape(model.image_shape)}, but those of {images.name} are of "
            f"{_shape(images.image_shape)}: change --dataset, --image_size or "
            "--channels"
        )
    images.check_pixels(model.likelihood)
    return model, images


def _shape(shape: Any) -> str:
    return " x ".join(str(side) for side in shape)
