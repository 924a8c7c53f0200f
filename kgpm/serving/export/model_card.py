"""What an exported model is, for whoever finds it on a disk."""

from collections.abc import Mapping
from typing import Any

import keras

import kgpm
from kgpm.evaluation.report import format_table


def model_card(
    model: keras.Model,
    *,
    name: str,
    version: int,
    signatures: Mapping[str, Any],
    max_numbers: int,
    metrics: Mapping[str, Any] | None,
    flags: str,
    licence: str,
) -> str:
    """The card in Markdown.

    Args:
        model: what was exported.
        name: of the served model.
        version: its number.
        signatures: of the served model, as in `signatures.json`.
        max_numbers: the largest answer, in numbers.
        metrics: what `kgpm.training.evaluate` returned.
        flags: of the run.
        licence: of the images.
    """
    height, width, channels = model.image_shape
    parts = [
        f"# {name}, version {version}",
        f"{type(model).__name__} of kgpm {kgpm.__version__}, "
        f"{model.count_params():,} parameters, for images of "
        f"{height} x {width} x {channels} with pixels in [0, 1].",
        "## Data",
        f"{metrics['description']}." if metrics else "Not recorded.",
        f"Licence of the images: {licence or 'not recorded'}.",
        "## Figures",
        f"```text\n{format_table(metrics)}\n```"
        if metrics
        else "Not evaluated.",
        "## Signatures",
        _CONVENTIONS.format(
            pixels=model.likelihood.pixels, max_numbers=max_numbers
        ),
        *(
            _section(key, signature)
            for key, signature in sorted(signatures.items())
        ),
        "## Configuration",
        f"```text\n{flags.strip()}\n```" if flags else "Not recorded.",
    ]
    return "\n\n".join(parts) + "\n"


# Letters of the axes of any size, where they are not B and Q.
_AXES = {"episode": "BT", "memory_images": "BT", "images": "BSQ"}

_CONVENTIONS = """\
Axes of any size have letters: B episodes, T images in one, Q queries or
samples, S steps. A memory that `write` returned travels with each request as
its `memory_...` tensors; the server keeps nothing. `memory_id` says which model
wrote it: a memory of another model, or of other weights, is refused. The same
`seed` gives the same answer. What cannot be answered is refused with one
sentence.

- `score` takes pixels {pixels}; its terms are in nats per image.
- An answer has at most {max_numbers:,} numbers."""


def _section(name: str, signature: Mapping[str, Any]) -> str:
    lines = [
        f"### `{name}`",
        "",
        signature["summary"],
        "",
        "| | name | dtype | shape |",
        "|---|---|---|---|",
    ]
    for label, way in (("in", "inputs"), ("out", "outputs")):
        for key, spec in signature[way].items():
            shape = _shape(key, spec["shape"])
            lines.append(f"| {label} | `{key}` | {spec['dtype']} | {shape} |")
    return "\n".join(lines)


def _shape(name: str, shape: list[int]) -> str:
    """A shape with letters for the axes of any size."""
    letters = iter(_AXES.get(name, "BQ"))
    sizes = [next(letters) if size < 0 else str(size) for size in shape]
    return f"[{', '.join(sizes)}]"
