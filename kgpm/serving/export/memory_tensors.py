"""A memory as it travels with a request: tensors by name, and whose it is."""

import json
import math
import zlib
from typing import Any

import keras
import tensorflow as tf

from kgpm.serving.export import checks
from kgpm.serving.inputs import MEMORY
from kgpm.serving.inputs import MEMORY_ID
from kgpm.serving.inputs import STATISTICS


class MemoryTensors:
    """The memories of a model, outside of it.

    They are `memory_...`, the tensors of a memory by the names that the model
    gives them, and `memory_id`, which tells a memory of this model with these
    weights from that of any other. `statistics` are beside them where images
    can be added later.

    Args:
        model: a model of this package.

    Attributes:
        specs: a `tf.TensorSpec` of each; none where there is no memory.
        statistics_shape: of one memory, or `None`.
    """

    def __init__(self, model: keras.Model) -> None:
        self.id = fingerprint(model)
        self.specs: list[tf.TensorSpec] = []
        if model.memory.stores:
            self.specs = self._traced(model)
        self.statistics_shape: list[int] | None = None
        if model.streams:
            self.statistics_shape = list(model.memory.statistics_shape)

    @property
    def changed_specs(self) -> list[tf.TensorSpec]:
        """What is needed of a memory that images are added to."""
        shape = [None, *(self.statistics_shape or ())]
        return [
            tf.TensorSpec([None], tf.int32, name=MEMORY_ID),
            tf.TensorSpec(shape, tf.float64, name=STATISTICS),
        ]

    @property
    def size(self) -> int:
        """How many numbers one memory is, as far as that is known."""
        sizes = [spec.shape[1:].num_elements() or 0 for spec in self.specs]
        if self.statistics_shape is not None:
            sizes.append(math.prod(self.statistics_shape))
        return sum(sizes)

    def named(self, memory: dict[str, Any]) -> dict[str, Any]:
        """The tensors of a memory of the model."""
        batch = tf.shape(next(iter(memory.values())))[0]
        return {
            MEMORY_ID: tf.fill([batch], tf.constant(self.id, tf.int32)),
            **{MEMORY + name: value for name, value in memory.items()},
        }

    def value_of(self, tensors: dict[str, Any]) -> dict[str, Any] | None:
        """The model's memory from the tensors of a request, checked."""
        if not tensors:
            return None
        return {
            spec.name.removeprefix(MEMORY): self._own(spec, tensors)
            for spec in self.specs
            if spec.name != MEMORY_ID
        }

    def statistics_of(self, tensors: dict[str, Any]) -> Any:
        """The statistics of a request, checked."""
        return self._own(self.changed_specs[1], tensors)

    def _own(self, spec: tf.TensorSpec, tensors: dict[str, Any]) -> Any:
        """Numbers of a memory that this model wrote."""
        memory_id = checks.checked_shape(MEMORY_ID, tensors[MEMORY_ID], [None])
        value = tensors[spec.name]
        value = checks.checked_shape(spec.name, value, spec.shape)
        value = checks.checked_finite(spec.name, value)
        value = checks.checked_batch(spec.name, value, memory_id)
        return checks.guarded(
            value,
            tf.reduce_all(memory_id == self.id),
            f"Expected a memory that this model wrote (memory_id {self.id}), "
            "received one of memory_id",
            memory_id,
        )

    def _traced(self, model: keras.Model) -> list[tf.TensorSpec]:
        write = tf.function(
            lambda images: self.named(model.write(images)), autograph=False
        )
        images = tf.TensorSpec([None, None, *model.image_shape], tf.float32)
        outputs = write.get_concrete_function(images).structured_outputs
        return [
            tf.TensorSpec(value.shape, value.dtype, name=name)
            for name, value in outputs.items()
        ]


def fingerprint(model: keras.Model) -> int:
    """A number that tells a model with its weights from any other.

    Returns:
        31 bits: an `int32` and exact in JSON.
    """
    text = json.dumps(
        _identity(model.get_config()), default=str, sort_keys=True
    )
    total = zlib.crc32(f"{type(model).__name__} {text}".encode())
    for variable in model.weights:
        value = keras.ops.convert_to_numpy(variable)
        total = zlib.crc32(value.tobytes(), total)
    return total & 0x7FFFFFFF


def _identity(config: Any) -> Any:
    """A nested configuration without what equal models may differ in.

    That is what Keras calls a layer by default, and the shapes that it was
    first called with.
    """
    if isinstance(config, (list, tuple)):
        return [_identity(each) for each in config]
    if not isinstance(config, dict):
        return config
    # Only layers have both: the name of a dtype policy says what it is.
    skipped = {"build_config", *(("name",) if "trainable" in config else ())}
    return {k: _identity(v) for k, v in config.items() if k not in skipped}
