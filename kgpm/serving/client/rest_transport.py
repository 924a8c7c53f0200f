"""REST without TensorFlow, in the fastest form that a server takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import urllib3

from kgpm.errors import ServingError
from kgpm.errors import UserError
from kgpm.serving.client.rest_forms import BinaryForm
from kgpm.serving.client.rest_forms import JsonForm
from kgpm.serving.client.rest_forms import RestForm
from kgpm.serving.client.transport import Transport
from kgpm.serving.inputs import sentence_of
from kgpm.serving.v2_message import EXTENSION

_BUSY = (502, 503, 504)
# These ask to come back later.
_LATER = (408, 429)
# More threads wait for each other.
_MOST_CONNECTIONS = 32


class RestTransport(Transport):
    """Posts over connections that stay open.

    Before the first request the server is asked what it is (`/v2`): one that
    names binary tensors among its extensions gets them, every other one
    TensorFlow Serving's JSON.
    """

    def connect(self, retries: int, max_bytes: int) -> None:
        self._form: RestForm | None = None
        # `requests` would do the same with this pool, but shares no session
        # between threads.
        self._pool = urllib3.PoolManager(
            maxsize=_MOST_CONNECTIONS,
            block=True,
            timeout=urllib3.Timeout(total=self.timeout),
            retries=_Retries(
                total=retries,
                backoff_factor=0.1,
                status_forcelist=_BUSY,
                # A POST too: no call changes anything.
                allowed_methods=None,
                raise_on_status=False,
                redirect=False,
                # A server could ask for an hour.
                respect_retry_after_header=False,
            ),
        )

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        if self._form is None:
            # Threads that are first together each ask; they hear the same.
            self._form = self._find_form()
        body, headers = self._form.request(signature, inputs)
        response = self._send("POST", self._form.path, body, headers)
        if response.status != 200:
            raise self._refusal(response.status, response.data)
        try:
            return self._form.outputs(response, signature)
        except (ValueError, KeyError, TypeError) as error:
            raise ServingError(
                f"{self.address} answered something else than {self._form.name}"
            ) from error

    def close(self) -> None:
        self._pool.clear()

    def _find_form(self) -> RestForm:
        response = self._send("GET", "/v2")
        if response.status in (*_BUSY, *_LATER):
            raise self._refusal(response.status, response.data)
        try:
            binary = EXTENSION in orjson.loads(response.data)["extensions"]
        except (ValueError, KeyError, TypeError):
            # TensorFlow Serving has nothing there.
            binary = False
        form = BinaryForm if binary else JsonForm
        return form(self.model, self.version)

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method, self.address + path, body=body, headers=headers
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._translated(error) from error

    def _refusal(self, status: int, data: bytes) -> Exception:
        try:
            said = sentence_of(orjson.loads(data)["error"])
        except (ValueError, KeyError, TypeError, AttributeError):
            said = f"{self.address} answered with HTTP status {status}"
        if 400 <= status < 500 and status not in _LATER:
            return UserError(said)
        return self.no_answer(said)

    def _translated(self, error: urllib3.exceptions.HTTPError) -> ServingError:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, urllib3.exceptions.NewConnectionError):
            cause = reason.__cause__
            return ServingError(
                f"{self.address} cannot be reached ({cause or reason}): is "
                "the server running?"
            )
        if isinstance(reason, urllib3.exceptions.TimeoutError):
            return self.too_late()
        return self.no_answer(reason)


class _Retries(urllib3.Retry):
    """Tries again, but not what took too long: it would take as long again."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        *pool_and_trace: Any,
        **more: Any,
    ) -> "_Retries":
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            raise error
        return super().increment(
            method, url, response, error, *pool_and_trace, **more
        )
