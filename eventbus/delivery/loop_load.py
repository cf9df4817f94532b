"""Whether the event loop has time left: more deliveries at a time are of use only where it has."""

import time
from typing import Any

from gevent.hub import get_hub

#: Seconds over which the loop is looked at.
SPAN = 0.02
#: With less than this part of the time spent waiting, the loop is saturated.
SPARE = 0.1
#: Seconds for which the longest turn is remembered, at least; at most twice as long.
LAG_SPAN = 15.0
#: Runs after gevent's own callbacks of the same kind.
_LAST = -2


class LoopLoad:
    """Measures how long the loop waits for something to happen (libev's ``prepare`` and ``check`` watchers)."""

    def __init__(self) -> None:
        self.saturated = False
        self._waiting_since = self._span_began = self._woke = self._lag_began = time.monotonic()
        self._waited = 0.0
        self._longest = self._longest_before = 0.0  # seconds of a turn, in this span and in the one before

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

    def lag(self) -> float:
        """Seconds of the longest turn lately: how long what had come waited until it was looked at."""
        return max(self._longest, self._longest_before)

    def _begin_wait(self) -> None:
        now = self._waiting_since = time.monotonic()
        self._longest = max(self._longest, now - self._woke)

    def _end_wait(self) -> None:
        now = self._woke = time.monotonic()
        self._waited += now - self._waiting_since
        span = now - self._span_began
        if span >= SPAN:
            self.saturated = self._waited < SPARE * span
            self._span_began, self._waited = now, 0.0
            if now - self._lag_began >= LAG_SPAN:
                self._longest_before, self._longest, self._lag_began = self._longest, 0.0, now
