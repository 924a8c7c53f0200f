"""What a served model answers, as functions with named inputs and outputs."""

import inspect
import json
import math
import zlib
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from kgpm import ops
from kgpm.serving.export import checks
from kgpm.serving.inputs import MEMORY
from kgpm.serving.inputs import MEMORY_ID
from kgpm.serving.inputs import STATISTICS

# Numbers of one answer: 32 MiB of float32.
MAX_NUMBERS = 2**23


class Signature(NamedTuple):
    """A function of a served model.

    Attributes:
        function: tensors in, a dict of tensors out.
        inputs: a `tf.TensorSpec` for each argument, named as it is.
        summary: what it does, on one line.
    """

    function: Callable[..., dict[str, Any]]
    inputs: list[tf.TensorSpec]
    summary: str

    def positional(self, *tensors: Any) -> dict[str, Any]:
        """The function of its inputs in their order, as an export takes it."""
        names = [spec.name for spec in self.inputs]
        return self.function(**dict(zip(names, tensors, strict=True)))


class Signatures:
    """The signatures of a model; each is a method, described by its docstring.

    A memory travels with the request as `memory_...`, its tensors by the
    names that the model gives them, and `memory_id`, which tells a memory of
    this model with these weights from that of any other. No call leaves
    anything behind. Every check of an input is in the graph, for servers that
    run nothing else.

    Args:
        model: a model of this package.
        max_numbers: the largest answer in numbers.
    """

    def __init__(
        self, model: keras.Model, max_numbers: int = MAX_NUMBERS
    ) -> None:
        self.model = model
        self.max_numbers = max_numbers
        self.id = fingerprint(model)
        self.memory_specs = (
            self._find_memory_specs() if model.memory.stores else []
        )
        # What images can be added to, and taken out of, has one.
        self.statistics_shape = (
            model.memory.statistics_shape if model.streams else None
        )

    def all(self) -> dict[str, Signature]:
        """The signatures that this model has, by name."""
        episode, query = map(self._images_spec, ("episode", "query"))
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        steps, num_samples, batch_size = (
            tf.TensorSpec([], tf.int32, name=name)
            for name in ("steps", "num_samples", "batch_size")
        )
        memory = self.memory_specs
        found: list[tuple[Callable, list[tf.TensorSpec]]] = [
            (self.serving_default, [episode]),
            (self.read, [query, *memory]),
            (self.denoise, [query, *memory, steps]),
            (self.score, [query, *memory, seed]),
        ]
        if self.model.memory.has_prior:
            inputs = [*memory, seed, steps, num_samples]
            found.append((self.generate, inputs))
        if memory:
            found += [(self.write, [episode]), (self.prior, [batch_size])]
        if self.statistics_shape is not None:
            shape = [None, *self.statistics_shape]
            inputs = [
                episode,
                tf.TensorSpec([None], tf.int32, name=MEMORY_ID),
                tf.TensorSpec(shape, tf.float64, name=STATISTICS),
            ]
            found += [(self.update, inputs), (self.forget, inputs)]
        return {
            function.__name__: Signature(function, specs, self._said(function))
            for function, specs in found
        }

    def serving_default(self, episode: Any) -> dict[str, Any]:
        """Writes an episode, where there is a memory, and reads each image."""
        episode = self._images("episode", episode)
        return {"reconstruction": self.model(episode)}

    def write(self, episode: Any) -> dict[str, Any]:
        """Writes each episode into a memory."""
        return self._named(self.model.write(self._images("episode", episode)))

    def prior(self, batch_size: Any) -> dict[str, Any]:
        """Memories to which nothing was written."""
        batch_size = checks.checked_count("batch_size", batch_size)
        numbers = sum(
            spec.shape[1:].num_elements() or 0 for spec in self.memory_specs
        )
        if self.statistics_shape is not None:
            numbers += math.prod(self.statistics_shape)
        batch_size = self._bounded(batch_size, [numbers], "memories")
        memory = self._named(self.model.memory.prior(batch_size))
        if self.statistics_shape is not None:
            shape = [batch_size, *self.statistics_shape]
            memory[STATISTICS] = tf.zeros(shape, tf.float64)
        return memory

    def read(self, query: Any, **memory: Any) -> dict[str, Any]:
        """The mean image read for each query."""
        query, value = self._query_and_memory(query, memory)
        return {"reconstruction": self.model.read(query, value)}

    def denoise(self, query: Any, steps: Any, **memory: Any) -> dict[str, Any]:
        """Reads repeatedly, each time with the image just read.

        The first read comes first.
        """
        steps = checks.checked_count("steps", steps)
        steps = self._bounded(steps, [tf.size(query)], "steps x query")
        query, value = self._query_and_memory(query, memory)
        return {"images": self.model.denoise(query, value, num_steps=steps)}

    def generate(
        self, seed: Any, steps: Any, num_samples: Any, **memory: Any
    ) -> dict[str, Any]:
        """New images: a draw, then steps - 1 reads of it."""
        value = self._memory(memory)
        batch = tf.shape(memory[MEMORY_ID])[0] if memory else 1
        pixels = math.prod(self.model.image_shape)
        steps = checks.checked_count("steps", steps)
        num_samples = checks.checked_count("num_samples", num_samples)
        # Each of them alone could ask for more memory than there is.
        each, what = [batch, pixels], "steps x samples"
        images = self.model.generate(
            value,
            num_samples=self._bounded(num_samples, [steps, *each], what),
            num_steps=self._bounded(steps, [num_samples, *each], what),
            seed=seed,
        )
        return {"images": images}

    def score(self, query: Any, seed: Any, **memory: Any) -> dict[str, Any]:
        """Terms of the bound of each query in nats, for one draw of latents.

        -log p(query | memory) <= nelbo.
        """
        query, value = self._query_and_memory(
            query, memory, self.model.likelihood
        )
        terms = self.model.query_terms(query, value, seed)
        terms = {k: terms[k] for k in self.model.term_names if k in terms}
        return {"nelbo": ops.nelbo(terms), **terms}

    def update(
        self, episode: Any, statistics: Any, memory_id: Any
    ) -> dict[str, Any]:
        """Adds images to a memory that keeps its statistics."""
        return self._changed(self.model.update, episode, statistics, memory_id)

    def forget(
        self, episode: Any, statistics: Any, memory_id: Any
    ) -> dict[str, Any]:
        """Takes images out of such a memory, as if never written."""
        return self._changed(self.model.forget, episode, statistics, memory_id)

    def _changed(
        self, change: Any, episode: Any, statistics: Any, memory_id: Any
    ) -> dict[str, Any]:
        episode = self._images("episode", episode)
        statistics = checks.checked_shape(
            STATISTICS, statistics, (None, *(self.statistics_shape or ()))
        )
        statistics = checks.checked_finite(STATISTICS, statistics)
        statistics = self._same_batch(
            STATISTICS, statistics, tf.shape(episode)[0]
        )
        memory_id = checks.checked_shape(MEMORY_ID, memory_id, (None,))
        statistics = self._own(statistics, memory_id)
        statistics = change(episode, statistics)
        memory = self._named(self.model.write_statistics(statistics))
        return {**memory, STATISTICS: statistics}

    def _said(self, function: Callable) -> str:
        """A docstring on one line, and why a bound may be none."""
        said = " ".join((inspect.getdoc(function) or "").split())
        why = self.model.memory.why_no_bound if function == self.score else ""
        return f"{said[:-1]}, which is no bound here: {why}." if why else said

    def _images(self, name: str, images: Any, likelihood: Any = None) -> Any:
        return checks.checked_images(
            name, images, self.model.image_shape, likelihood
        )

    def _bounded(self, count: Any, factors: list, what: str) -> Any:
        return checks.checked_answer(count, factors, self.max_numbers, what)

    def _query_and_memory(
        self, query: Any, memory: dict[str, Any], likelihood: Any = None
    ) -> tuple[Any, Any]:
        query = self._images("query", query, likelihood)
        value = self._memory(memory)
        if memory:
            query = self._same_batch(
                "query", query, tf.shape(memory[MEMORY_ID])[0]
            )
        return query, value

    def _same_batch(self, name: str, value: Any, batch: Any) -> Any:
        received = tf.shape(value)[0]
        return checks.guarded(
            value,
            received == batch,
            f"Expected {name} for as many episodes as there are memories,",
            batch,
            ", received",
            received,
        )

    def _memory(self, memory: dict[str, Any]) -> Any:
        """The model's memory from the tensors of a request."""
        if not memory:
            return None
        batch = tf.shape(memory[MEMORY_ID])[0]
        value = {}
        for spec in self.memory_specs:
            tensor = memory[spec.name]
            tensor = checks.checked_shape(spec.name, tensor, spec.shape)
            if spec.name == MEMORY_ID:
                continue
            tensor = checks.checked_finite(spec.name, tensor)
            tensor = self._same_batch(spec.name, tensor, batch)
            name = spec.name.removeprefix(MEMORY)
            value[name] = self._own(tensor, memory[MEMORY_ID])
        return value

    def _own(self, value: Any, memory_id: Any) -> Any:
        """A tensor of a memory that this model wrote."""
        return checks.guarded(
            value,
            tf.reduce_all(memory_id == self.id),
            f"Expected a memory that this model wrote (memory_id {self.id}), "
            "received one of memory_id",
            memory_id,
        )

    def _named(self, memory: dict[str, Any]) -> dict[str, Any]:
        batch = tf.shape(next(iter(memory.values())))[0]
        return {
            MEMORY_ID: tf.fill([batch], tf.constant(self.id, tf.int32)),
            **{MEMORY + name: value for name, value in memory.items()},
        }

    def _images_spec(self, name: str) -> tf.TensorSpec:
        shape = [None, None, *self.model.image_shape]
        return tf.TensorSpec(shape, tf.float32, name=name)

    def _find_memory_specs(self) -> list[tf.TensorSpec]:
        write = tf.function(self.write, autograph=False)
        traced = write.get_concrete_function(self._images_spec("episode"))
        return [
            tf.TensorSpec(value.shape, value.dtype, name=name)
            for name, value in traced.structured_outputs.items()
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
