"""The two clocks: one that only runs forward, for how long; one that people read, for when."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds from each clock.

    Durations are measured on ``monotonic`` alone, so that no step of the wall clock ends a lease or a wait.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


def rfc3339(seconds: float) -> str:
    """A wall-clock time in UTC with whole seconds, RFC 3339."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
