"""The corruptions that a denoising experiment can ask for, by name."""

from collections.abc import Callable
from typing import Any

from kgpm.data.corruptions import CORRUPTIONS
from kgpm.data.sources import check_choice
from kgpm.errors import UserError

_LEVELS = {
    "salt_and_pepper": 0.15,
    "rotate": 45.0,
    "gaussian": 0.5,
    "speckle": 0.5,
    "poisson": 4.0,
}
# The paper covers 12 of 28 pixels.
_BLOCK_SHARE = 12 / 28


def default_level(name: str, image_shape: tuple) -> float:
    """The level of a kind of noise where none is asked for.

    Args:
        name: a key of `kgpm.data.CORRUPTIONS`.
        image_shape: `(H, W, C)`.

    Raises:
        UserError: for an unknown kind.
    """
    check_choice("noise", name, tuple(CORRUPTIONS))
    if name == "block":
        return float(round(_BLOCK_SHARE * min(image_shape[:2])))
    return _LEVELS[name]


def make_corruption(
    name: str, level: float, *, binary: bool, block_value: float = 0.0
) -> Callable[[Any, Any], Any]:
    """A function `(images, seed) -> images` of one kind and level of noise.

    Salt and pepper, blocks and rotations leave binary images binary (a
    rotated one is thresholded at one half); the others make them grey.

    Args:
        name: a key of `kgpm.data.CORRUPTIONS`.
        level: see `kgpm.data.corruptions`.
        binary: whether pixels are 0 or 1.
        block_value: what a block is filled with.

    Raises:
        UserError: for an unknown kind.
    """
    check_choice("noise", name, tuple(CORRUPTIONS))
    corruption = CORRUPTIONS[name]
    options: dict[str, Any] = {}
    if name == "block":
        if binary and block_value not in (0.0, 1.0):
            raise UserError(
                "expected a block value of 0 or 1 for binary images, received "
                f"{block_value}; pass one of them"
            )
        options["value"] = block_value
    if name == "rotate":
        options["binary"] = binary

    def corrupt(images: Any, seed: Any) -> Any:
        return corruption(images, level, seed=seed, **options)

    return corrupt
