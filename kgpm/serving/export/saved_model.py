"""A model as a SavedModel that any TensorFlow server can answer with."""

import contextlib
import os
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kgpm.files import write_json
from kgpm.files import write_text
from kgpm.serving.export.model_card import model_card
from kgpm.serving.export.server_files import write_server_files
from kgpm.serving.export.signatures import MAX_NUMBERS
from kgpm.serving.export.signatures import Signature
from kgpm.serving.export.signatures import Signatures
from kgpm.serving.export.versions import SIGNATURES_FILE
from kgpm.serving.export.versions import new_version
from kgpm.serving.export.warmup import small_requests
from kgpm.serving.export.warmup import write_warmup


def export_model(
    model: keras.Model,
    export_dir: str | os.PathLike,
    *,
    version: int | None = None,
    max_numbers: int = MAX_NUMBERS,
    metrics: Mapping[str, Any] | None = None,
    flags: str = "",
    licence: str = "",
) -> Path:
    """Writes a version of a model's export.

    Args:
        model: a model of this package.
        export_dir: of all versions; its name is the name of the served model.
        version: a number that is not there yet; by default the next.
        max_numbers: the largest answer that the model gives, in numbers; a
            request for more is refused.
        metrics: what `kgpm.training.evaluate` returned, for the model card.
        flags: of the run, for the model card.
        licence: of the images that it was trained on, for the model card.

    Returns:
        The directory of the version.

    Raises:
        UserError: if that version is there.
        OSError: if it cannot be written.
    """
    export_dir = Path(export_dir)
    with new_version(export_dir, version) as (temporary, target):
        endpoints = Signatures(model, max_numbers).all()
        with shared_networks(model):
            described = _write_saved_model(endpoints, temporary)
        write_json(temporary / SIGNATURES_FILE, described)

        def call(signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
            outputs = endpoints[signature].function(
                **{key: tf.constant(value) for key, value in inputs.items()}
            )
            return {key: value.numpy() for key, value in outputs.items()}

        name = export_dir.resolve().name
        write_warmup(temporary, name, small_requests(described, call))
        card = model_card(
            model,
            name=name,
            version=int(target.name),
            signatures=described,
            max_numbers=max_numbers,
            metrics=metrics,
            flags=flags,
            licence=licence,
        )
        write_text(temporary / "README.md", card)
        write_server_files(export_dir)
    return target


@contextlib.contextmanager
def shared_networks(model: keras.Model) -> Iterator[None]:
    """Within it, each layer of a model is traced once for all that call it.

    A signature is a graph of its own, and so is the body of a loop: encoder and
    decoder would be copied into each of them. As functions they are stored once
    and called by name.

    Args:
        model: whose layers are traced.
    """
    layers = model.layers
    for layer in layers:
        # Past Keras, which would take the function for a part to be saved.
        vars(layer)["call"] = tf.function(layer.call, autograph=False)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["call"]


def _write_saved_model(
    endpoints: Mapping[str, Signature], path: Path
) -> dict[str, Any]:
    # Without `track`, which would store every weight once more: those that a
    # signature uses are found.
    archive = keras.export.ExportArchive()
    described = {}
    for name, endpoint in endpoints.items():
        function = archive.add_endpoint(
            name, endpoint.positional, input_signature=endpoint.inputs
        )
        outputs = function.get_concrete_function().structured_outputs
        described[name] = {
            "summary": endpoint.summary,
            "inputs": {spec.name: _describe(spec) for spec in endpoint.inputs},
            "outputs": {
                key: _describe(value) for key, value in outputs.items()
            },
        }
    # Nobody trains an export; the gradients would be a third of it.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    archive.write_out(str(path), options, verbose=False)
    return described


def _describe(spec: tf.TensorSpec) -> dict[str, Any]:
    """A tensor's dtype and shape, -1 for an axis of any size."""
    shape = [-1 if size is None else size for size in spec.shape]
    return {"dtype": spec.dtype.name, "shape": shape}
