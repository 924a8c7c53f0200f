"""TensorFlow Serving's REST, without TensorFlow."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import urllib3

from kgpm.errors import ServingError
from kgpm.errors import UserError
from kgpm.serving.client.transport import Transport
from kgpm.serving.inputs import MEMORY_ID
from kgpm.serving.inputs import STATISTICS
from kgpm.serving.inputs import sentence_of
from kgpm.serving.served_model import ONLY_OUTPUT

# JSON has no dtypes.
_DTYPES = {MEMORY_ID: np.int32, STATISTICS: np.float64}
_BUSY = (502, 503, 504)
# More threads wait for each other.
_MOST_CONNECTIONS = 32


class RestTransport(Transport):
    """Posts to `/v1/models/NAME:predict` over connections that stay open."""

    def connect(self, retries: int, max_bytes: int) -> None:
        path = "" if self.version is None else f"/versions/{self.version}"
        name = quote(self.model, safe="")
        self._url = f"{self.address}/v1/models/{name}{path}:predict"
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
        body = {
            "signature_name": signature,
            "inputs": {k: _for_json(k, v) for k, v in inputs.items()},
        }
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY),
                headers={"Content-Type": "application/json"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._translated(error) from error
        if response.status != 200:
            raise self._refusal(response.status, response.data)
        return self._outputs(response.data, signature)

    def close(self) -> None:
        self._pool.clear()

    def _outputs(self, data: bytes, signature: str) -> dict[str, np.ndarray]:
        try:
            outputs = orjson.loads(data)["outputs"]
            if not isinstance(outputs, dict):
                outputs = {ONLY_OUTPUT[signature]: outputs}
            return {
                name: np.asarray(value, _DTYPES.get(name, np.float32))
                for name, value in outputs.items()
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ServingError(
                f"{self.address} answered something else than TensorFlow "
                "Serving's JSON"
            ) from error

    def _refusal(self, status: int, data: bytes) -> Exception:
        try:
            said = sentence_of(orjson.loads(data)["error"])
        except (ValueError, KeyError, TypeError, AttributeError):
            said = f"{self.address} answered with HTTP status {status}"
        # 408 and 429 ask to come back later.
        if 400 <= status < 500 and status not in (408, 429):
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


def _for_json(name: str, value: np.ndarray) -> Any:
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise UserError(
            f"Expected numbers in {name}, received NaN or an infinity."
        )
    # orjson writes arrays alone, and those without gaps.
    return np.ascontiguousarray(value) if value.ndim else value.item()
