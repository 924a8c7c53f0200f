"""A transport: carries requests to a server and tells its answers."""

import abc
from collections.abc import Mapping

import numpy as np

from kgpm.errors import ServingError


class Transport(abc.ABC):
    """Connections to one served model.

    Args:
        address: `SCHEME://HOST:PORT`.
        model: name of the served model.
        version: of the model; the server's choice if `None`.
        timeout: seconds until an answer must be there; over REST those of
            each attempt.
        retries: attempts after the first one.
        max_bytes: largest message either way; HTTP has no such limit.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None,
        timeout: float,
        retries: int,
        max_bytes: int,
    ) -> None:
        self.address = address
        self.model = model
        self.version = version
        self.timeout = timeout
        self.connect(retries, max_bytes)

    @abc.abstractmethod
    def connect(self, retries: int, max_bytes: int) -> None:
        """Prepares connections; none is made before the first request."""

    @abc.abstractmethod
    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature by name.

        Args:
            signature: its name.
            inputs: an array for each input.

        Raises:
            UserError: the server refused the request.
            ServingError: it gave no answer.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Ends all connections."""

    def no_answer(self, reason: object) -> ServingError:
        """The error of a request that nobody answered."""
        return ServingError(f"{self.address} gave no answer: {reason}")

    def too_late(self) -> ServingError:
        """The error of an answer that was waited for in vain."""
        return ServingError(
            f"{self.address} gave no answer within {self.timeout} s"
        )
