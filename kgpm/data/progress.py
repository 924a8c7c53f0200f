"""A progress line for work that takes long."""

import sys
import time

_PATIENCE_SECONDS = 3.0
_PERIOD_SECONDS = 0.2


class Progress:
    """Shows how many items are done, once the work has taken a few seconds.

    It writes on standard error and only if that is a terminal, so that files
    and pipes stay clean. Used as a context manager; call it with the number of
    items done.

    Args:
        title: what is being done.
        total: number of items.
    """

    def __init__(self, title: str, total: int):
        self._title = title
        self._total = total
        self._visible = sys.stderr.isatty()
        self._next = time.monotonic() + _PATIENCE_SECONDS
        self._shown = False

    def __enter__(self) -> "Progress":
        return self

    def __call__(self, done: int) -> None:
        """Shows that `done` items are done, at most a few times a second."""
        now = time.monotonic()
        if self._visible and now >= self._next:
            self._next = now + _PERIOD_SECONDS
            self._shown = True
            line = f"\r{self._title}: {done:,} of {self._total:,} images"
            print(line, end="", file=sys.stderr, flush=True)

    def __exit__(self, *exception) -> None:
        if self._shown:
            print(file=sys.stderr)
