"""The images of one split, in memory."""

import dataclasses

import numpy as np


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

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        height, width, channels = self.images.shape[1:]
        return int(height), int(width), int(channels)
