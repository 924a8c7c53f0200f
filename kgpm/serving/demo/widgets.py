"""What the page has and Gradio has not: a picker of images and a sketch pad.

Both live in the browser, so that quick clicks do not overtake each other on
their way to the program.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from kgpm.serving.demo.html import data_url

# Heights in CSS pixels: of an image to pick, and of the pad.
TILE = 52
PAD = 196

_PICKER = """
<div class="tools" ${images.length ? "" : "hidden"}>
  <span>${(value || []).length} of ${images.length} picked</span>
  <button type="button" data-pick="all">all</button>
  <button type="button" data-pick="none">none</button>
</div>
<div class="tiles">${images.map((image, index) => `
  <button type="button" class="tile" data-index="${index}"
    aria-label="image ${index + 1}"
    aria-pressed="${(value || []).includes(index)}"
    ><img src="${image}" alt=""><span>${index + 1}</span></button>
`).join("")}</div>
"""

_PICKER_CSS = """
.tools { display: flex; gap: 12px; font-size: 14px; margin-bottom: 6px; }
.tools[hidden] { display: none; }
.tools button { text-decoration: underline; cursor: pointer; }
.tiles { display: flex; flex-wrap: wrap; gap: 6px; }
.tile { padding: 2px; line-height: 1; font-size: 11px; cursor: pointer;
  border: 2px solid transparent; border-radius: 4px;
  color: var(--body-text-color); }
.tile img { height: ${tile}px; width: auto; margin: 0 0 2px;
  image-rendering: pixelated; }
.tile:hover { border-color: var(--border-color-primary); }
.tile:focus-visible { outline: 2px solid var(--body-text-color); }
.tile[aria-pressed="true"] { border-color: var(--primary-600);
  background: var(--primary-100); color: black; }
"""

_PICKER_JS = """
element.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  const pick = event.target.closest("[data-pick]");
  const picked = props.value || [];
  if (tile) {
    const index = Number(tile.dataset.index);
    props.value = picked.includes(index)
      ? picked.filter((other) => other !== index)
      : [...picked, index];
  } else if (pick) {
    const all = pick.dataset.pick === "all";
    props.value = all ? props.images.map((_, index) => index) : [];
  }
});
"""

_PAD = """
<canvas width="${width}" height="${height}" aria-label="sketch pad"></canvas>
<div class="tools">
  <button type="button" class="clear">clear</button>
  ${colour ? '<label>colour <input type="color" value="#ffffff"></label>' : ""}
</div>
"""

_PAD_CSS = """
canvas { width: calc(${pad}px * ${width} / ${height}); max-width: 100%;
  aspect-ratio: ${width} / ${height}; background: black;
  image-rendering: pixelated; touch-action: none; cursor: crosshair;
  border-radius: 4px; }
.tools { display: flex; gap: 12px; font-size: 14px; margin-top: 4px; }
.tools .clear { text-decoration: underline; cursor: pointer; }
"""

# The canvas has the pixels of the model, so that a user sees what it gets.
_PAD_JS = """
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
const scale = () => canvas.width / canvas.clientWidth;
const place = (event) => [event.offsetX * scale(), event.offsetY * scale()];
let last = null;
const draw = (event) => {
  const colour = element.querySelector("input[type=color]");
  pen.strokeStyle = colour ? colour.value : "white";
  pen.lineWidth = Math.max(1.5, canvas.height / 9);
  pen.lineCap = "round";
  pen.beginPath();
  pen.moveTo(...last);
  last = place(event);
  pen.lineTo(...last);
  pen.stroke();
};
const clear = () => pen.clearRect(0, 0, canvas.width, canvas.height);
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  draw(event);
});
canvas.addEventListener("pointermove", (event) => { if (last) draw(event); });
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => {
    if (!last) return;
    last = null;
    props.value = canvas.toDataURL();
  });
element.addEventListener("click", (event) => {
  if (!event.target.closest(".clear")) return;
  clear();
  props.value = "";
});
watch("value", () => { if (!props.value) clear(); });
"""


def picker(
    images: Iterable[np.ndarray], picked: Sequence[int], name: str
) -> gr.HTML:
    """Images of which any number can be picked; its value are their indices.

    Args:
        images: `[H, W, C]` each.
        picked: what is picked at first.
        name: of the element in the page.
    """
    return gr.HTML(
        list(picked),
        html_template=_PICKER,
        css_template=_PICKER_CSS,
        js_on_load=_PICKER_JS,
        apply_default_css=False,
        images=[data_url(image) for image in images],
        tile=TILE,
        elem_id=name,
    )


def other_images(images: np.ndarray, picked: Sequence[int]) -> Any:
    """What a picker becomes: other images, some of them picked."""
    return gr.HTML(
        value=list(picked), images=[data_url(image) for image in images]
    )


def sketch_pad(image_shape: Sequence[int], name: str) -> gr.HTML:
    """A pad of a model's size; its value is a PNG as a URL, or empty.

    Args:
        image_shape: `(H, W, C)`.
        name: of the element in the page.
    """
    height, width, channels = image_shape
    return gr.HTML(
        "",
        html_template=_PAD,
        css_template=_PAD_CSS,
        js_on_load=_PAD_JS,
        apply_default_css=False,
        height=height,
        width=width,
        colour=channels > 1,
        pad=PAD,
        elem_id=name,
    )
