"""The images of one split, in memory."""

import dataclasses
from typing import Any

import numpy as np

from kgpm.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one split, decoded and resized once, as 8-bit values.

    Attributes:
        images: uint8 `[N, H, W, C]`; binarised pixels are 0 or 255.
        labels: int64 `[N]`, or `None` where the source has none.
        name: name of the data set or folder.
        split: "train", "validation" or "test".
        description: one line a report prints: where the images are from and
            what was done to them.
        dynamic: whether pixels are probabilities from which each epoch draws
            binary images.
        label: what a picture calls the images; by default their name.
    """

    images: np.ndarray
    labels: np.ndarray | None
    name: str
    split: str
    description: str
    dynamic: bool = False
    label: str = ""

    def __post_init__(self) -> None:
        # A frozen dataclass sets its fields once, and here from another one.
        object.__setattr__(self, "label", self.label or self.name)

    @classmethod
    def described(
        cls,
        images: np.ndarray,
        labels: np.ndarray | None,
        name: str,
        split: str,
        *notes: str,
        label: str = "",
    ) -> "ImageSet":
        """A set whose description is its number, its shape and the notes."""
        height, width, channels = images.shape[1:]
        number = f"{len(images):,} images {height}x{width}x{channels}"
        about = ", ".join([f"{name} {split}: {number}", *filter(None, notes)])
        return cls(images, labels, name, split, about, label=label)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        height, width, channels = self.images.shape[1:]
        return int(height), int(width), int(channels)

    def histogram(self) -> np.ndarray:
        """How many of all pixels have each level, int64 `[256]`."""
        counts = np.zeros(256, np.int64)
        # Counting takes eight bytes for each pixel.
        for chunk in np.array_split(self.images, max(len(self) // 1024, 1)):
            counts += np.bincount(chunk.reshape(-1), minlength=256)
        return counts

    def pixel_variance(self) -> float:
        """The variance of all pixels, on [0, 1]."""
        levels = self.histogram()
        values = np.arange(256) / 255.0
        share = levels / levels.sum()
        mean = np.sum(share * values)
        return float(np.sum(share * (values - mean) ** 2))

    def check_pixels(self, likelihood: Any) -> None:
        """Checks that a `kgpm.likelihoods.Likelihood` can score the images.

        Raises:
            UserError: if it cannot; the message says which flag helps.
        """
        present = [0, 255] if self.dynamic else np.flatnonzero(self.histogram())
        levels = np.asarray(present, "float32") / np.float32(255.0)
        try:
            # Only which values occur matters.
            likelihood.validate(levels.reshape(1, -1, 1))
        except ValueError as error:
            # The library's message is about arrays; the user has flags.
            raise UserError(
                f"--likelihood={likelihood.name} cannot score the pixels of "
                f"{self.name}, whose {len(levels)} levels lie in "
                f"[{levels.min():g}, {levels.max():g}]: add "
                "--binarize=threshold (or fixed, dynamic), or use another "
                "--likelihood"
            ) from error
