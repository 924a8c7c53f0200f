"""A served model: its signatures as methods, in NumPy."""

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

from kgpm.serving.inputs import DEFAULT_SIGNATURE
from kgpm.serving.inputs import changing_inputs
from kgpm.serving.inputs import reading_inputs
from kgpm.serving.inputs import request_inputs

# The signatures with a single output, which REST does not name.
ONLY_OUTPUT = {
    DEFAULT_SIGNATURE: "reconstruction",
    "read": "reconstruction",
    "denoise": "images",
    "generate": "images",
}


class ServedModel(abc.ABC):
    """What answers the signatures of an export, here or behind a server.

    A memory is a dict of arrays as `write`, `prior` and `update` return it;
    none is kept. Where a model has no memory, `None` stands for it.

    Every method raises a `UserError` for a request that is refused.
    """

    @abc.abstractmethod
    def call(
        self, signature: str, inputs: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Answers one request.

        Args:
            signature: name of a signature.
            inputs: an array for each of its inputs, by name.

        Returns:
            An array for each output.

        Raises:
            UserError: the request is refused.
        """

    def reconstruct(self, images: Any) -> np.ndarray:
        """Images `[B, T, H, W, C]` written, where there is a memory, and read.

        Returns:
            The reconstructions, `[B, T, H, W, C]`.
        """
        return self._only(DEFAULT_SIGNATURE, {}, episode=images)

    def write(self, episode: Any) -> dict[str, np.ndarray]:
        """The memory of episodes `[B, T, H, W, C]`."""
        return self._ask("write", {}, episode=episode)

    def prior(self, batch_size: int) -> dict[str, np.ndarray]:
        """Memories to which nothing was written.

        Returns:
            A memory, with `statistics` where the model can `update` it.
        """
        return self._ask("prior", {}, batch_size=batch_size)

    def read(
        self, query: Any, memory: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """The mean image of each query `[B, Q, H, W, C]`."""
        return self._only("read", reading_inputs(memory), query=query)

    def denoise(
        self,
        query: Any,
        memory: Mapping[str, Any] | None = None,
        steps: int = 1,
    ) -> np.ndarray:
        """Reads repeatedly: `[B, steps, Q, H, W, C]`, the first read first."""
        inputs = reading_inputs(memory)
        return self._only("denoise", inputs, query=query, steps=steps)

    def generate(
        self,
        memory: Mapping[str, Any] | None = None,
        num_samples: int = 1,
        steps: int = 1,
        seed: Any = 0,
    ) -> np.ndarray:
        """New images `[B, steps, num_samples, H, W, C]`.

        Args:
            memory: what to draw from; none where the model has none.
            num_samples: images for each memory.
            steps: the draw, then `steps - 1` reads of it.
            seed: an integer or two of them; equal seeds give equal images.
        """
        return self._only(
            "generate",
            reading_inputs(memory),
            seed=seed,
            steps=steps,
            num_samples=num_samples,
        )

    def score(
        self,
        query: Any,
        memory: Mapping[str, Any] | None = None,
        seed: Any = 0,
    ) -> dict[str, np.ndarray]:
        """Terms of the bound of each query and `nelbo`, `[B, Q]` in nats."""
        inputs = reading_inputs(memory)
        return self._ask("score", inputs, query=query, seed=seed)

    def update(
        self, episode: Any, memory: Mapping[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """The memory of what was written before and of an episode.

        Args:
            episode: `[B, T, H, W, C]`.
            memory: what `prior`, `update` or `forget` returned; `None` begins
                with `prior`.
        """
        if memory is None:
            images = request_inputs(episode=episode)["episode"]
            memory = self.prior(len(np.atleast_1d(images)))
        return self._ask("update", changing_inputs(memory), episode=episode)

    def forget(
        self, episode: Any, memory: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """The memory of what was written before without an episode."""
        return self._ask("forget", changing_inputs(memory), episode=episode)

    def _ask(
        self, signature: str, memory: Mapping[str, np.ndarray], **values: Any
    ) -> dict[str, np.ndarray]:
        return self.call(signature, {**memory, **request_inputs(**values)})

    def _only(
        self, signature: str, memory: Mapping[str, np.ndarray], **values: Any
    ) -> np.ndarray:
        outputs = self._ask(signature, memory, **values)
        return outputs[ONLY_OUTPUT[signature]]
