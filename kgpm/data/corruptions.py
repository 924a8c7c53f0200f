"""The corruptions of images by name, a record each. No TensorFlow.

A new one is an entry of `CORRUPTIONS`: programs, their help and the demo page
read there what they know of it.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_goes_with


class Level(NamedTuple):
    """What the level of a corruption may be.

    Attributes:
        label: what it means, with its unit.
        default: the level where none is asked for.
        lowest: the least to choose from.
        highest: the largest one.
        step: between two of them.
    """

    label: str
    default: float
    lowest: float
    highest: float
    step: float


@dataclasses.dataclass(frozen=True)
class Corruption:
    """A kind of damage to images.

    Attributes:
        function: `(images, level, seed, **options) -> images`, of floats
            `[..., H, W, C]` in [0, 1].
        level: what its level may be; see `level_of`.
        of_side: whether the default and the highest level are shares of an
            image's smaller side, of which a level is whole pixels.
        keeps_binary: whether images of 0 and 1 stay so; others become grey.
        options: what else the function takes: `binary`, whether images are of
            0 and 1, and `value`, what is put in the place of pixels.
    """

    function: Callable[..., Any]
    level: Level
    of_side: bool = False
    keeps_binary: bool = False
    options: tuple[str, ...] = ()

    def level_of(self, image_shape: Sequence[int]) -> Level:
        """What the level may be for images `(H, W, C)`."""
        if not self.of_side:
            return self.level
        side = min(image_shape[:2])
        return self.level._replace(
            default=float(round(self.level.default * side)),
            highest=float(round(self.level.highest * side)),
        )


def _function(name: str) -> Callable[..., Any]:
    """One of `corruption_functions`, which waits for TensorFlow when called."""

    def corrupt(images: Any, level: float, seed: Any, **options: Any) -> Any:
        from kgpm.data import corruption_functions

        function = getattr(corruption_functions, name)
        return function(images, level, seed, **options)

    return corrupt


_DEVIATION = Level("standard deviation, white being 1", 0.5, 0.0, 2.0, 0.05)

CORRUPTIONS: dict[str, Corruption] = {
    "salt_and_pepper": Corruption(
        _function("salt_and_pepper"),
        Level("share of pixels", 0.15, 0.0, 1.0, 0.01),
        keeps_binary=True,
    ),
    "block": Corruption(
        _function("block"),
        # The GPM paper covers 12 of 28 pixels.
        Level("side, pixels", 12 / 28, 0.0, 1.0, 1.0),
        of_side=True,
        keeps_binary=True,
        options=("value",),
    ),
    "rotate": Corruption(
        _function("rotate"),
        Level("largest angle, degrees", 45.0, 0.0, 180.0, 1.0),
        keeps_binary=True,
        options=("binary",),
    ),
    "gaussian": Corruption(_function("gaussian"), _DEVIATION),
    "speckle": Corruption(_function("speckle"), _DEVIATION),
    "poisson": Corruption(
        _function("poisson"),
        Level("photons of a white pixel", 4.0, 0.5, 64.0, 0.5),
    ),
}


def get_corruption(name: str) -> Corruption:
    """Looks a corruption up by name.

    Raises:
        UserError: there is none of that name.
    """
    check_choice("noise", name, tuple(CORRUPTIONS))
    return CORRUPTIONS[name]


def make_corruption(
    name: str, level: float, *, binary: bool, block_value: float | None = None
) -> Callable[[Any, Any], Any]:
    """A function `(images, seed) -> images` of one kind and level of noise.

    Args:
        name: a key of `CORRUPTIONS`.
        level: see its `Level`.
        binary: whether pixels are 0 or 1.
        block_value: what a block is filled with, in [0, 1]; `None` is black.

    Raises:
        UserError: an unknown kind, or a `block_value` of another one than
            `block` or of which binary images would not be binary.
    """
    corruption = get_corruption(name)
    takes_value = "value" in corruption.options
    check_goes_with("noise=block", takes_value, block_value=block_value)
    if binary and block_value not in (None, 0.0, 1.0):
        raise UserError(
            "Expected a block_value of 0 or 1 for binary images, received "
            f"{block_value}; pass one of them."
        )
    given = {"binary": binary, "value": block_value}
    options = {
        option: given[option]
        for option in corruption.options
        if given[option] is not None
    }

    def corrupt(images: Any, seed: Any) -> Any:
        return corruption.function(images, level, seed, **options)

    return corrupt
