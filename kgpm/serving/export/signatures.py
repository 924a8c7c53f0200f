"""What a served model answers, as functions with named inputs and outputs."""

import inspect
import math
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from kgpm import ops
from kgpm.serving.export import checks
from kgpm.serving.export.memory_tensors import MemoryTensors
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

    A memory travels with the request. No call leaves anything behind. Every
    check of an input is in the graph, for servers that run nothing else.

    Args:
        model: a model of this package.
        max_numbers: the largest answer in numbers.
    """

    def __init__(
        self, model: keras.Model, max_numbers: int = MAX_NUMBERS
    ) -> None:
        self.model = model
        self.max_numbers = max_numbers
        self.memory = MemoryTensors(model)

    def all(self) -> dict[str, Signature]:
        """The signatures that this model has, by name."""
        episode, query = map(self._images_spec, ("episode", "query"))
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        steps, num_samples, batch_size = (
            tf.TensorSpec([], tf.int32, name=name)
            for name in ("steps", "num_samples", "batch_size")
        )
        memory = self.memory.specs
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
        if self.memory.statistics_shape is not None:
            inputs = [episode, *self.memory.changed_specs]
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
        episode = self._images("episode", episode)
        return self.memory.named(self.model.write(episode))

    def prior(self, batch_size: Any) -> dict[str, Any]:
        """Memories to which nothing was written."""
        batch_size = checks.checked_count("batch_size", batch_size)
        batch_size = self._bounded(batch_size, [self.memory.size], "memories")
        memory = self.memory.named(self.model.memory.prior(batch_size))
        if self.memory.statistics_shape is not None:
            shape = [batch_size, *self.memory.statistics_shape]
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
        value = self.memory.value_of(memory)
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

    def update(self, episode: Any, **memory: Any) -> dict[str, Any]:
        """Adds images to a memory that keeps its statistics."""
        return self._changed(self.model.update, episode, memory)

    def forget(self, episode: Any, **memory: Any) -> dict[str, Any]:
        """Takes images out of such a memory, as if never written."""
        return self._changed(self.model.forget, episode, memory)

    def _changed(
        self, change: Callable, episode: Any, memory: dict[str, Any]
    ) -> dict[str, Any]:
        statistics = self.memory.statistics_of(memory)
        episode = self._images("episode", episode)
        episode = checks.checked_batch("episode", episode, memory[MEMORY_ID])
        statistics = change(episode, statistics)
        written = self.model.write_statistics(statistics)
        return {**self.memory.named(written), STATISTICS: statistics}

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
        value = self.memory.value_of(memory)
        if memory:
            query = checks.checked_batch("query", query, memory[MEMORY_ID])
        return query, value

    def _images_spec(self, name: str) -> tf.TensorSpec:
        shape = [None, None, *self.model.image_shape]
        return tf.TensorSpec(shape, tf.float32, name=name)
