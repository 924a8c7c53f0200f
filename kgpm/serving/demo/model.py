"""An exported model as the page asks it: one episode of images at a time."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kgpm.errors import UserError
from kgpm.serving.exported_model import ExportedModel
from kgpm.serving.inputs import MEMORY_ID


class Written(NamedTuple):
    """What one user wrote.

    Attributes:
        images: `[T, H, W, C]`, in [0, 1].
        memory: the tensors of the memory by name; none where there is no
            memory to write to.
    """

    images: np.ndarray
    memory: Mapping[str, np.ndarray]

    @property
    def num_numbers(self) -> int:
        """How many numbers the memory holds."""
        return sum(
            value.size
            for name, value in self.memory.items()
            if name != MEMORY_ID
        )

    @property
    def rows(self) -> np.ndarray | None:
        """The memory's rows `[K, C]`, where it has some."""
        for name, value in self.memory.items():
            if name != MEMORY_ID and value.ndim == 3:
                return value[0]
        return None


class DemoModel:
    """Writes, reads and generates single episodes.

    Args:
        exported: an exported model.
    """

    def __init__(self, exported: ExportedModel) -> None:
        self._exported = exported
        self.name = exported.name
        self.image_shape = exported.image_shape
        self.has_memory = "write" in exported.signatures
        self.has_prior = "generate" in exported.signatures
        self.binary = self._refuses_grey()
        self.description = self._describe()

    def write(self, images: np.ndarray) -> Written:
        """Writes images into a new memory.

        Args:
            images: `[T, H, W, C]`.

        Returns:
            The images with their memory, or with none where the model has
            none.
        """
        if not self.has_memory:
            return Written(images, {})
        return Written(images, self._exported.write(images[np.newaxis]))

    def read(
        self, queries: np.ndarray, written: Written | None, steps: int
    ) -> np.ndarray:
        """Reads repeatedly.

        Args:
            queries: `[Q, H, W, C]`.
            written: what to read from; may be missing where the model has no
                memory.
            steps: how many reads.

        Returns:
            `[steps, Q, H, W, C]`, the first read first.

        Raises:
            UserError: nothing is written.
        """
        memory = self._memory(written)
        return self._exported.denoise(queries[np.newaxis], memory, steps)[0]

    def generate(
        self, written: Written | None, num_samples: int, steps: int, seed: int
    ) -> np.ndarray:
        """Draws images.

        Args:
            written: what to draw from; may be missing where the model has no
                memory.
            num_samples: how many images.
            steps: the draw and how often it is read again.
            seed: of the draws.

        Returns:
            `[steps, num_samples, H, W, C]`, the draw first.

        Raises:
            UserError: nothing is written, or the model has no prior.
        """
        if not self.has_prior:
            raise UserError("This model has no prior to draw from.")
        memory = self._memory(written)
        return self._exported.generate(memory, num_samples, steps, seed)[0]

    def require(self, written: Written | None) -> Written:
        """What a user wrote.

        Raises:
            UserError: nothing is written.
        """
        if written is None:
            done, do = (
                ("written", "write") if self.has_memory else ("taken", "take")
            )
            raise UserError(
                f"Nothing is {done} yet: pick images in part 1 and {do} them "
                "in part 2 first."
            )
        return written

    def _memory(self, written: Written | None) -> Mapping[str, np.ndarray]:
        return self.require(written).memory if self.has_memory else {}

    def _refuses_grey(self) -> bool:
        """Whether pixels are 0 or 1: others have no probability."""
        grey = np.full([1, *self.image_shape], 0.5, "float32")
        try:
            self._exported.score(grey[np.newaxis], self.write(grey).memory)
        except UserError:
            return True
        return False

    def _describe(self) -> str:
        """The first sentence of the model card, where there is one."""
        try:
            card = (self._exported.path / "README.md").read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            card = ""
        paragraphs = card.split("\n\n")
        if len(paragraphs) > 1 and paragraphs[0].startswith("# "):
            return " ".join(paragraphs[1].split())
        sizes = " x ".join(map(str, self.image_shape))
        return f"A model for images of {sizes}."
