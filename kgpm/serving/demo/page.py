"""The page to try a model on: four parts, and which click calls what."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr

from kgpm.data import CORRUPTIONS
from kgpm.data import get_corruption
from kgpm.serving.demo import answers
from kgpm.serving.demo.events import DemoEvents
from kgpm.serving.demo.html import heading
from kgpm.serving.demo.html import title
from kgpm.serving.demo.images import NO_CORRUPTION
from kgpm.serving.demo.images import example_images
from kgpm.serving.demo.model import DemoModel
from kgpm.serving.demo.widgets import picker
from kgpm.serving.demo.widgets import sketch_pad

# Uploads are read at once: seconds between two looks at them, and the age at
# which they go.
_UPLOADS = (600, 600)
_FIRST_CORRUPTION = "salt_and_pepper"
_PRIVATE: dict[str, Any] = {"api_visibility": "private"}


def build_page(model: DemoModel) -> gr.Blocks:
    """The page of a model; what a user has is in the user's session.

    Args:
        model: that answers.
    """
    events = DemoEvents(model)
    with gr.Blocks(
        title=model.name, analytics_enabled=False, delete_cache=_UPLOADS
    ) as page:
        gr.HTML(title(model.name, model.description))
        written = gr.State(None)
        first = _images_part(model, events)
        second = _write_part(model)
        third = _read_part(model, events, written)
        fourth = _generate_part(model, events, written)
        second.button.click(
            events.write,
            [first.pool, first.picked],
            [
                second.said,
                second.rows,
                written,
                third.picked,
                # What was read from an older memory is not this one's.
                third.said,
                third.pictures,
                fourth.said,
                fourth.pictures,
            ],
            **_PRIVATE,
        )
    return page


def _images_part(model: DemoModel, events: DemoEvents) -> SimpleNamespace:
    examples = example_images(model.image_shape, binary=model.binary)
    height, width, _ = model.image_shape
    pick = "Click on images to pick them, or add"
    if not len(examples):
        pick = "There are no examples for a model of colours. Add"
    with _part(
        1,
        "Pick images",
        f"{pick} your own, which are stretched to {height} x {width} "
        f"pixels{' of black or white' if model.binary else ''}.",
    ):
        pool = gr.State(examples)
        with gr.Row():
            with gr.Column(scale=3, min_width=420):
                picked = picker(examples, [], "kgpm-examples")
            with gr.Column(scale=1, min_width=220):
                pad = sketch_pad(model.image_shape, "kgpm-pad")
                add = gr.Button("Add the drawing", elem_id="kgpm-add")
            with gr.Column(scale=1, min_width=220):
                upload = gr.UploadButton(
                    "Upload image files",
                    file_count="multiple",
                    elem_id="kgpm-upload",
                )
                invert = gr.Checkbox(
                    False, label="Dark ink on light paper: invert"
                )
                said = gr.HTML("", elem_id="kgpm-added")
    add.click(
        events.add_drawing,
        [pool, picked, pad],
        [said, pool, picked, pad],
        **_PRIVATE,
    )
    upload.upload(
        events.add_files,
        [pool, picked, upload, invert],
        [said, pool, picked],
        **_PRIVATE,
    )
    return SimpleNamespace(pool=pool, picked=picked)


def _write_part(model: DemoModel) -> SimpleNamespace:
    verb = "Write" if model.has_memory else "Take"
    with _part(
        2,
        f"{verb} them",
        "One pass writes all picked images into a new memory, which only you "
        "see."
        if model.has_memory
        else "This model has no memory: it encodes and decodes each image by "
        "itself.",
    ):
        with gr.Row():
            button = _button(f"{verb} the picked images", "kgpm-write")
            with gr.Column(scale=3):
                said = gr.HTML("", elem_id="kgpm-written")
        rows = gr.HTML("", elem_id="kgpm-memory")
    return SimpleNamespace(button=button, said=said, rows=rows)


def _read_part(
    model: DemoModel, events: DemoEvents, written: gr.State
) -> SimpleNamespace:
    level = get_corruption(_FIRST_CORRUPTION).level_of(model.image_shape)
    kinds = [NO_CORRUPTION, *CORRUPTIONS]
    with _part(
        3,
        "Read them back",
        "The query is read, then what was just read is the next query, and so "
        "on.",
    ):
        draws = gr.Radio(
            [("Images of part 2, corrupted", False), ("A drawing", True)],
            value=False,
            label="Query",
            elem_id="kgpm-query",
        )
        picked = picker([], [], "kgpm-queries")
        with gr.Column(visible=False) as drawn:
            pad = sketch_pad(model.image_shape, "kgpm-query-pad")
        with gr.Row(elem_classes="kgpm-controls"):
            with gr.Column(scale=6, min_width=480) as corrupted:
                with gr.Row():
                    kind = gr.Dropdown(
                        [(name.replace("_", " "), name) for name in kinds],
                        value=_FIRST_CORRUPTION,
                        label="Corruption",
                        scale=2,
                        min_width=180,
                        elem_id="kgpm-kind",
                    )
                    strength = gr.Slider(
                        level.lowest,
                        level.highest,
                        level.default,
                        step=level.step,
                        label=f"Level: {level.label}",
                        scale=3,
                        min_width=240,
                        elem_id="kgpm-level",
                    )
                    seed = _seed("kgpm-noise-seed")
            steps = _steps("kgpm-read-steps")
            button = _button("Read", "kgpm-read")
        said = gr.HTML("", elem_id="kgpm-read-said")
        pictures = gr.HTML("", elem_id="kgpm-reads")
    kind.change(events.level, kind, strength, **_PRIVATE)
    draws.change(
        lambda draws: (
            [gr.update(visible=draws)] + [gr.update(visible=not draws)] * 2
        ),
        draws,
        [drawn, corrupted, picked],
        **_PRIVATE,
    )
    button.click(
        events.read,
        [written, draws, picked, kind, strength, seed, pad, steps],
        [said, pictures],
        **_PRIVATE,
    )
    return SimpleNamespace(picked=picked, said=said, pictures=pictures)


def _generate_part(
    model: DemoModel, events: DemoEvents, written: gr.State
) -> SimpleNamespace:
    with _part(
        4,
        "Generate",
        f"Each row is a draw{' from the memory' if model.has_memory else ''} "
        "and what is read of it, step by step."
        if model.has_prior
        else "This model has no prior to draw from: it generates nothing.",
    ):
        with gr.Row(visible=model.has_prior, elem_classes="kgpm-controls"):
            samples = _count(
                "Samples: images", 4, answers.MAX_SAMPLES, "kgpm-samples"
            )
            steps = _steps("kgpm-generate-steps")
            seed = _seed("kgpm-draw-seed")
            button = _button("Generate", "kgpm-generate")
        said = gr.HTML("", elem_id="kgpm-drawn-said")
        pictures = gr.HTML("", elem_id="kgpm-draws")
    button.click(
        events.generate,
        [written, samples, steps, seed],
        [said, pictures],
        **_PRIVATE,
    )
    return SimpleNamespace(said=said, pictures=pictures)


@contextlib.contextmanager
def _part(number: int, title: str, text: str) -> Iterator[None]:
    """A part of the page below its heading."""
    with gr.Column(elem_classes="kgpm-part"):
        gr.HTML(heading(number, title, text))
        yield


def _steps(name: str) -> gr.Slider:
    return _count("Steps: reads", 8, answers.MAX_STEPS, name)


def _count(label: str, value: int, most: int, name: str) -> gr.Slider:
    return gr.Slider(
        1,
        most,
        value,
        step=1,
        label=label,
        scale=2,
        min_width=160,
        elem_id=name,
    )


def _seed(name: str) -> gr.Number:
    return gr.Number(
        0, precision=0, label="Seed", scale=1, min_width=90, elem_id=name
    )


def _button(text: str, name: str) -> gr.Button:
    return gr.Button(
        text, variant="primary", scale=1, min_width=140, elem_id=name
    )
