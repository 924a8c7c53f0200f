"""As many calls at a time as a machine answers well."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kgpm.errors import UserError


class Busy(RuntimeError):
    """More requests wait than a server takes: ask again later."""


class CallQueue:
    """Runs calls in threads, and refuses them where too many wait.

    Args:
        max_concurrency: calls that run at a time.
        max_waiting: calls that wait for that; four times as many if `None`.

    Raises:
        UserError: no call could run.
    """

    def __init__(
        self, max_concurrency: int, max_waiting: int | None = None
    ) -> None:
        if max_concurrency < 1:
            raise UserError(
                "Expected a max_concurrency of at least 1, received "
                f"{max_concurrency}."
            )
        if max_waiting is None:
            max_waiting = 4 * max_concurrency
        self.size = max_concurrency + max_waiting
        self._free = threading.BoundedSemaphore(self.size)
        self._threads = ThreadPoolExecutor(max_concurrency, "call")

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns, or raises, in a thread of its own.

        Raises:
            Busy: too many calls run and wait.
        """
        if not self._free.acquire(blocking=False):
            raise Busy(
                f"The server answers {self.size} requests already and takes "
                "no more: ask again later."
            )
        future = self._threads.submit(function, *arguments)
        # Not when the caller stops waiting: its call would run on uncounted.
        future.add_done_callback(lambda _: self._free.release())
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drops the calls that wait; those that run end on their own."""
        self._threads.shutdown(wait=False, cancel_futures=True)
