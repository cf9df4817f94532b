"""Whether the event loop has time left: more deliveries at a time are of use only where it has."""

import time
from typing import Any

from gevent.hub import get_hub

#: Seconds over which the loop is looked at.
SPAN = 0.02
#: With less than this part of the time spent waiting, the loop is saturated.
SPARE = 0.1
#: Runs after gevent's own callbacks of the same kind.
_LAST = -2


class LoopLoad:
    """Measures how long the loop waits for something to happen (libev's ``prepare`` and ``check`` watchers)."""

    def __init__(self) -> None:
        self.saturated = False
        self._waiting_since = self._span_began = time.monotonic()
        self._waited = 0.0

    def start(self) -> None:
        """Begin to measure."""
        loop: Any = get_hub().loop
        self._prepare = loop.prepare(ref=False, priority=_LAST)
        self._check = loop.check(ref=False)
        self._prepare.start(self._begin_wait)
        self._check.start(self._end_wait)

    def stop(self) -> None:
        """Measure no more."""
        for watcher in (self._prepare, self._check):
            watcher.stop()
            watcher.close()
        self.saturated = False

    def _begin_wait(self) -> None:
        self._waiting_since = time.monotonic()

    def _end_wait(self) -> None:
        now = time.monotonic()
        self._waited += now - self._waiting_since
        span = now - self._span_began
        if span >= SPAN:
            self.saturated = self._waited < SPARE * span
            self._span_began, self._waited = now, 0.0
