"""Finds out by writing whether a journal can be written, and remembers the answer for a second."""

import math
from collections.abc import Callable

from eventbus.core.errors import JournalError, JournalFull

#: Seconds for which it stays known whether the journal can be written.
PROBE_INTERVAL_SECONDS = 1.0


class WriteProbe:
    """Whether the last write that was tried has failed. Pure but for the write."""

    def __init__(self) -> None:
        self._tried_at = -math.inf  # on the monotonic clock
        self._error: JournalError | None = None

    def run(self, now: float, write: Callable[[], object]) -> None:
        """Try to write, once a second at most, and raise what the last try has raised.

        A full disk raises nothing: settled events are removed on the reserve.
        """
        if now >= self._tried_at + PROBE_INTERVAL_SECONDS:
            self._tried_at, self._error = now, None
            try:
                write()
            except JournalFull:
                pass  # room is made on the reserve
            except JournalError as error:
                self._error = error
        if self._error is not None:
            raise self._error.with_traceback(None)
