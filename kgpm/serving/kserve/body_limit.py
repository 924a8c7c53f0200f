"""Refuses HTTP requests that are too large before anything reads them."""

import asyncio
import json
from typing import Any

# Longest that the rest of a refused body is waited for.
_DRAIN_SECONDS = 5.0


class BodyLimit:
    """ASGI middleware that hands on complete bodies up to a size.

    Args:
        app: the application behind it.
        max_bytes: the largest body.
    """

    def __init__(self, app: Any, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if int(headers.get(b"content-length", 0)) > self.max_bytes:
            # Who expects an answer first sends nothing before it.
            if b"expect" not in headers:
                await self._drain(receive)
            await self._refuse(send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            # A body in chunks does not say how long it is.
            if len(body) > self.max_bytes:
                if more:
                    await self._drain(receive)
                await self._refuse(send)
                return
        pending = [{"type": "http.request", "body": bytes(body)}]

        async def replay() -> Any:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    async def _drain(self, receive: Any) -> None:
        """Reads on for a while: who still sends would not see the answer."""
        left = self.max_bytes
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    async def _refuse(self, send: Any) -> None:
        sentence = (
            f"Expected a request of at most {self.max_bytes} bytes, received "
            "more: send several requests."
        )
        body = json.dumps({"error": sentence}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send(
            {"type": "http.response.start", "status": 413, "headers": headers}
        )
        await send({"type": "http.response.body", "body": body})
