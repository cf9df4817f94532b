"""Logging of work that is repeated in the background: one line when it begins to fail, and one when it works again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from eventbus.core.log_once import LogOnce


class FailureLog:
    """Logs the first failure in a row as a warning, and the first success after it."""

    def __init__(self, log: logging.Logger, failing: str, working: str) -> None:
        """``failing`` and ``working`` are what the lines say; the error follows the first."""
        self._log, self._failing, self._working = log, failing, working
        self._once = LogOnce()

    @contextmanager
    def logged(self, *errors: type[Exception]) -> Iterator[None]:
        """Run the block, and go on after these errors, which are logged. Others are raised, and count as nothing."""
        try:
            yield
        except errors as error:
            if self._once.raised():
                self._log.warning("%s: %s", self._failing, error)
        else:
            if self._once.cleared():
                self._log.info("%s", self._working)
