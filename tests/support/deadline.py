"""Waiting: for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")

#: Seconds between two looks at a condition.
LOOK_EVERY = 0.02


def eventually(condition: Callable[[], T], timeout: float, message: str = "the condition did not come true") -> T:
    """Return the first true value of ``condition``; AssertionError after ``timeout`` seconds without one."""
    ends = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= ends:
            raise AssertionError(f"After {timeout:g} s {message}; the last value was {value!r}")
        gevent.sleep(LOOK_EVERY)
