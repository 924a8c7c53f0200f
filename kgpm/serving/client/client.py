"""Asks a served model, in NumPy."""

import importlib
from collections.abc import Mapping
from typing import Any
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from kgpm.errors import UserError
from kgpm.serving.client.client_inputs import changing_inputs
from kgpm.serving.client.client_inputs import floats
from kgpm.serving.client.client_inputs import int32
from kgpm.serving.client.client_inputs import reading_inputs
from kgpm.serving.client.client_inputs import seed_pair

# Loaded on first use: REST needs no TensorFlow, which takes seconds.
_TRANSPORTS = {
    "grpc": ("kgpm.serving.client.grpc_transport", "GrpcTransport"),
    "http": ("kgpm.serving.client.rest_transport", "RestTransport"),
    "https": ("kgpm.serving.client.rest_transport", "RestTransport"),
}
# gRPC makes five attempts at most, whatever it is asked for.
_MOST_RETRIES = 4


class Transport(Protocol):
    """Carries requests to a server."""

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], output: str
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature by name.

        Args:
            signature: its name.
            inputs: an array for each input.
            output: the name of its output where it has a single one, which
                REST does not name.

        Raises:
            UserError: the server refused the request.
            ServingError: it gave no answer.
        """

    def close(self) -> None:
        """Ends all connections."""


class Client:
    """The signatures of a model behind TensorFlow Serving or `kgpm.serve`.

    A memory is a dict of arrays as `write`, `prior` and `update` return it;
    the server keeps none. Calls may come from several threads. A request that
    meets an unreachable or busy server is sent again, after a growing pause:
    no call changes anything there.

    Args:
        address: `grpc://HOST:PORT` (TensorFlow Serving's gRPC) or
            `http://HOST:PORT` (REST, needs no TensorFlow).
        model: name of the served model.
        version: of the model; the server's choice if `None`.
        timeout: seconds until an answer must be there; over REST those of
            each attempt.
        retries: attempts after the first one, 0 to 4.
        max_message_mb: largest message over gRPC either way, in MiB.

    Raises:
        UserError: an argument that is none of these, or packages that are not
            installed. Every method raises it for a request that the server
            refuses, with the server's sentence, and `ServingError` where
            there is no answer.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        max_message_mb: int = 64,
    ) -> None:
        if not model or not isinstance(model, str):
            raise UserError(
                f"Expected the name of a served model, received {model!r}: it "
                "is the name of the export's directory."
            )
        if not timeout > 0:
            raise UserError(
                f"Expected a timeout above 0 seconds, received {timeout}."
            )
        if retries not in range(_MOST_RETRIES + 1):
            raise UserError(
                f"Expected 0 to {_MOST_RETRIES} retries, received {retries}."
            )
        if not max_message_mb > 0:
            raise UserError(
                f"Expected max_message_mb above 0, received {max_message_mb}."
            )
        self._closed = False
        self._transport = _transport_class(address)(
            address.rstrip("/"),
            model,
            version=version,
            timeout=timeout,
            retries=retries,
            max_bytes=int(max_message_mb * 2**20),
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections; the client answers no more."""
        self._closed = True
        self._transport.close()

    def reconstruct(self, images: Any) -> np.ndarray:
        """Images `[B, T, H, W, C]` written, where there is a memory, and read.

        Returns:
            The reconstructions, `[B, T, H, W, C]`.
        """
        inputs = {"episode": floats("episode", images)}
        return self._only("serving_default", inputs, "reconstruction")

    def write(self, episode: Any) -> dict[str, np.ndarray]:
        """The memory of episodes `[B, T, H, W, C]`."""
        return self._ask("write", {"episode": floats("episode", episode)})

    def prior(self, batch_size: int) -> dict[str, np.ndarray]:
        """Memories to which nothing was written.

        Returns:
            A memory, with `statistics` where the model can `update` it.
        """
        inputs = {"batch_size": int32("batch_size", batch_size)}
        return self._ask("prior", inputs)

    def read(
        self, query: Any, memory: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """The mean image of each query `[B, Q, H, W, C]`."""
        inputs = {"query": floats("query", query), **reading_inputs(memory)}
        return self._only("read", inputs, "reconstruction")

    def denoise(
        self,
        query: Any,
        memory: Mapping[str, Any] | None = None,
        steps: int = 1,
    ) -> np.ndarray:
        """Reads repeatedly: `[B, steps, Q, H, W, C]`, the first read first."""
        inputs = {"query": floats("query", query), **reading_inputs(memory)}
        inputs["steps"] = int32("steps", steps)
        return self._only("denoise", inputs, "images")

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
        inputs = {
            **reading_inputs(memory),
            "seed": seed_pair(seed),
            "steps": int32("steps", steps),
            "num_samples": int32("num_samples", num_samples),
        }
        return self._only("generate", inputs, "images")

    def score(
        self,
        query: Any,
        memory: Mapping[str, Any] | None = None,
        seed: Any = 0,
    ) -> dict[str, np.ndarray]:
        """Terms of the bound of each query and `nelbo`, `[B, Q]` in nats."""
        inputs = {"query": floats("query", query), **reading_inputs(memory)}
        inputs["seed"] = seed_pair(seed)
        return self._ask("score", inputs, "nelbo")

    def update(
        self, episode: Any, memory: Mapping[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """The memory of what was written before and of an episode.

        Args:
            episode: `[B, T, H, W, C]`.
            memory: what `prior`, `update` or `forget` returned; `None` begins
                with `prior`.
        """
        episode = floats("episode", episode)
        if memory is None:
            memory = self.prior(len(episode) if episode.ndim else 1)
        return self._ask(
            "update", {"episode": episode, **changing_inputs(memory)}
        )

    def forget(
        self, episode: Any, memory: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """The memory of what was written before without an episode."""
        inputs = {
            "episode": floats("episode", episode),
            **changing_inputs(memory),
        }
        return self._ask("forget", inputs)

    def _ask(
        self, signature: str, inputs: Mapping[str, np.ndarray], output: str = ""
    ) -> dict[str, np.ndarray]:
        if self._closed:
            raise UserError("This client is closed: make another one.")
        return self._transport.predict(signature, inputs, output)

    def _only(
        self, signature: str, inputs: Mapping[str, np.ndarray], output: str
    ) -> np.ndarray:
        return self._ask(signature, inputs, output)[output]


def _transport_class(address: str) -> Any:
    try:
        parts = urlsplit(address)
        known = parts.scheme in _TRANSPORTS and parts.hostname
        complete = parts.port or parts.scheme != "grpc"
    except ValueError:
        known = complete = False
    if not known or not complete:
        raise UserError(
            "Expected an address like grpc://127.0.0.1:8500 or "
            f"http://127.0.0.1:8501, received {address!r}."
        )
    module, name = _TRANSPORTS[parts.scheme]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{parts.scheme}:// needs {error.name}: pip install 'kgpm[serving]'"
        ) from None
