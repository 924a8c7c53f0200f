"""What a click on the page calls: each answers with what the page becomes."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np

from kgpm.data import get_corruption
from kgpm.errors import UserError
from kgpm.serving.demo import answers
from kgpm.serving.demo import images as demo_images
from kgpm.serving.demo.html import sentence
from kgpm.serving.demo.model import DemoModel
from kgpm.serving.demo.model import Written
from kgpm.serving.demo.widgets import other_images


def told(num_others: int) -> Callable[[Callable[..., tuple]], Any]:
    """Turns a user's mistake into a sentence and leaves the rest as it is.

    Args:
        num_others: how much a function returns behind its sentence.
    """

    def decorate(function: Callable[..., tuple]) -> Callable[..., tuple]:
        @functools.wraps(function)
        def wrapper(*arguments: Any) -> tuple:
            try:
                return function(*arguments)
            except UserError as error:
                text = " ".join(str(error).split())
                others = [gr.skip()] * num_others
                return (sentence(text, mistake=True), *others)

        return wrapper

    return decorate


class DemoEvents:
    """The events of a model's page.

    Each method takes the values of components and returns those of others,
    the sentence first. What a user has travels through them.

    Args:
        model: that answers.
    """

    def __init__(self, model: DemoModel) -> None:
        self.model = model

    @told(2)
    def add_files(
        self, pool: np.ndarray, picked: Any, paths: Any, invert: bool
    ) -> tuple:
        """Adds the images of files to those that can be picked.

        Returns:
            A sentence, the pool and its picker.
        """
        new = demo_images.images_of_files(
            paths,
            self.model.image_shape,
            binary=self.model.binary,
            invert=invert,
        )
        return self._added(pool, picked, new)

    @told(3)
    def add_drawing(self, pool: np.ndarray, picked: Any, drawing: Any) -> tuple:
        """Adds a drawing to the images that can be picked.

        Returns:
            A sentence, the pool, its picker and an empty pad.
        """
        return (*self._added(pool, picked, self._drawn(drawing)), "")

    @told(7)
    def write(self, pool: np.ndarray, picked: Any) -> tuple:
        """Writes the picked images into a new memory.

        Returns:
            A sentence, the memory's picture, what is written, the picker of
            queries, and nothing for the two answers from an older memory.
        """
        indices = answers.chosen(pool, picked, answers.MAX_IMAGES)
        written = self.model.write(pool[indices])
        answer = answers.told_of_writing(self.model, written)
        queries = other_images(written.images, [0])
        said = sentence(answer.sentence)
        return said, answer.pictures, written, queries, "", "", "", ""

    @told(1)
    def read(
        self,
        written: Written | None,
        draws: bool,
        picked: Any,
        kind: str,
        level: float,
        seed: Any,
        drawing: Any,
        steps: Any,
    ) -> tuple:
        """Reads corrupted images or a drawing.

        Returns:
            A sentence and the steps.
        """
        model = self.model
        asked_for = None
        if draws:
            queries = self._drawn(drawing)
        else:
            images = model.require(written).images
            most = answers.MAX_QUERIES
            asked_for = answers.chosen(images, picked, most)
            queries = demo_images.corrupt(
                images[asked_for],
                kind,
                level,
                answers.whole_number("the seed", seed, 0, answers.MAX_SEED),
                binary=model.binary,
            )
        answer = answers.reading(model, queries, written, steps, asked_for)
        return sentence(answer.sentence), answer.pictures

    @told(1)
    def generate(
        self, written: Written | None, num_samples: Any, steps: Any, seed: Any
    ) -> tuple:
        """Draws images.

        Returns:
            A sentence and the steps.
        """
        answer = answers.generation(
            self.model, written, num_samples, steps, seed
        )
        return sentence(answer.sentence), answer.pictures

    def level(self, kind: str) -> Any:
        """The slider of a corruption's level, for another kind."""
        if kind == demo_images.NO_CORRUPTION:
            return gr.update(visible=False)
        found = get_corruption(kind).level_of(self.model.image_shape)
        return gr.update(
            label=f"Level: {found.label}",
            minimum=found.lowest,
            maximum=found.highest,
            step=found.step,
            value=found.default,
            visible=True,
        )

    def _added(self, pool: np.ndarray, picked: Any, new: np.ndarray) -> tuple:
        if len(pool) + len(new) > answers.MAX_IMAGES:
            raise UserError(
                f"Expected at most {answers.MAX_IMAGES} images on the "
                "page: load it again to start anew."
            )
        together = np.concatenate([pool, new])
        before = picked if isinstance(picked, list) else []
        picked = [*before, *range(len(pool), len(together))]
        number = len(new)
        text = f"{number} image{'' if number == 1 else 's'} added and picked."
        return sentence(text), together, other_images(together, picked)

    def _drawn(self, drawing: Any) -> np.ndarray:
        return demo_images.image_of_drawing(
            drawing, self.model.image_shape, binary=self.model.binary
        )
