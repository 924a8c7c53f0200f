"""A model as it was exported, in this process and in NumPy."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.errors import UserError
from kgpm.serving.export.versions import SIGNATURES_FILE
from kgpm.serving.export.versions import latest_version
from kgpm.serving.export.warmup import small_requests
from kgpm.serving.inputs import DEFAULT_SIGNATURE
from kgpm.serving.inputs import as_array
from kgpm.serving.inputs import sentence_of
from kgpm.serving.served_model import ServedModel


class ExportedModel(ServedModel):
    """Answers the signatures of an export, without Keras and TFP.

    Calls are independent of each other and may come from several threads.

    Args:
        export_dir: what `kgpm.export` wrote; the latest version in it is
            taken.
        version: another one.

    Raises:
        UserError: no such export, or files that TensorFlow cannot load.
    """

    def __init__(
        self, export_dir: str | os.PathLike, version: int | None = None
    ) -> None:
        self.path = latest_version(Path(export_dir), version)
        self.version = int(self.path.name)
        self.name = self.path.parent.resolve().name
        try:
            with _without_talk_of_gradients():
                self._loaded = tf.saved_model.load(str(self.path))
            text = (self.path / SIGNATURES_FILE).read_text(encoding="utf-8")
            self.signatures: dict[str, Any] = json.loads(text)
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self.path} could not be loaded as an export of this "
                f"package ({reason}): export again"
            ) from error
        self._functions = {
            name: self._loaded.signatures[name] for name in self.signatures
        }

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(H, W, C)` of the images that it takes."""
        inputs = self.signatures[DEFAULT_SIGNATURE]["inputs"]
        return tuple(inputs["episode"]["shape"][2:])

    def call(
        self, signature: str, inputs: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        tensors = self._tensors(signature, inputs)
        try:
            outputs = self._functions[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise UserError(sentence_of(error.message)) from error
        return {name: value.numpy() for name, value in outputs.items()}

    def warm_up(self) -> None:
        """Calls each signature, whose first call is several times as slow.

        The requests in `assets.extra` are for TensorFlow Serving; reading
        them takes its messages, which a server may not have.
        """
        for name, inputs in small_requests(self.signatures, self.call).items():
            self.call(name, inputs)

    def _tensors(
        self, signature: str, inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        if signature not in self.signatures:
            raise UserError(
                "Expected signature_name to be one of "
                f"{', '.join(self.signatures)}, received {signature!r}."
            )
        specs = self.signatures[signature]["inputs"]
        if set(specs) != set(inputs):
            raise UserError(
                f"Expected the inputs {', '.join(specs)} for {signature}, "
                f"received {', '.join(map(str, inputs)) or 'none'}."
            )
        return {
            name: _tensor(name, inputs[name], spec)
            for name, spec in specs.items()
        }


@contextlib.contextmanager
def _without_talk_of_gradients() -> Iterator[None]:
    """TensorFlow warns of each function that could not be trained on."""

    def is_other(record: logging.LogRecord) -> bool:
        return "unsaved custom gradients" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _tensor(name: str, value: Any, spec: Mapping[str, Any]) -> Any:
    dtype = np.dtype(spec["dtype"])
    array = as_array(name, value)
    integers = np.issubdtype(dtype, np.integer)
    kinds = "iu" if integers else "fiub"
    if array.size and array.dtype.kind not in kinds:
        raise UserError(
            f"Expected {name} of dtype {dtype}, received {array.dtype}."
        )
    shape = spec["shape"]
    if array.ndim != len(shape) or any(
        size not in (-1, found)
        for size, found in zip(shape, array.shape, strict=False)
    ):
        letters = ", ".join("n" if size < 0 else str(size) for size in shape)
        raise UserError(
            f"Expected {name} of shape [{letters}], received "
            f"{list(array.shape)}."
        )
    if integers and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise UserError(
                f"Expected {name} within {dtype}, received a number outside."
            )
    with np.errstate(over="ignore"):
        return tf.constant(array.astype(dtype))
