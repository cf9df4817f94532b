"""A test that hangs ends the run, and says where it waits, instead of holding everything up until somebody notices."""

import gc
import os
import sys
import traceback
from time import monotonic

from gevent import monkey
from greenlet import greenlet

#: The longest of the tests that are not marked soak takes 30 seconds, on a busy machine a few times that.
SECONDS = 300.0
SECONDS_SOAK = 3600.0

_start_new_thread = monkey.get_original("_thread", "start_new_thread")
_sleep = monkey.get_original("time", "sleep")


class TimeLimit:
    """Watches each test from a thread of its own, since whatever hangs may be the event loop."""

    def __init__(self, output: int) -> None:
        """``output`` is the file descriptor that a test which hangs is told to."""
        self._output = output
        self._test = ""
        self._ends = float("inf")
        _start_new_thread(self._watch, ())

    def begin(self, test: str, seconds: float) -> None:
        """Give a test that many seconds, its fixtures included."""
        self._test, self._ends = test, monotonic() + seconds

    def end(self) -> None:
        """Watch nothing until the next test begins."""
        self._ends = float("inf")

    def _watch(self) -> None:
        while monotonic() < self._ends:
            _sleep(1)
        text = f"\n{self._test} takes longer than a test may, so this run ends. All threads and greenlets:\n"
        os.write(self._output, (text + _stacks()).encode(errors="replace"))
        os._exit(1)


def _stacks() -> str:
    greenlets = [found for found in gc.get_objects() if isinstance(found, greenlet) and found.gr_frame is not None]
    threads = sys._current_frames().values()  # noqa: SLF001 - documented, in spite of its name
    frames = [*threads, *(found.gr_frame for found in greenlets)]
    return "\n".join("".join(traceback.format_stack(frame, limit=12)) for frame in frames)
