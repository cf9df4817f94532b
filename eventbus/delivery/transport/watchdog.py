"""One greenlet for all deadlines: it looks at every connection many times a second; one in use has a deadline."""

from collections.abc import Callable

import gevent

from eventbus.delivery.transport.connection import Connection

#: Seconds between two looks: how late an attempt may be ended.
LOOK = 0.05
#: Looks between two at what is old and what has been closed, of which ``tidy`` is told.
LOOKS_TO_TIDY = 40


class Watchdog:
    """Cuts connections whose deadline is over, and retires those that are old."""

    def __init__(self, monotonic: Callable[[], float], tidy: Callable[[], None]) -> None:
        self._monotonic = monotonic
        self._tidy = tidy
        self.watched: set[Connection] = set()  #: all that are open
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to look, if that has not begun."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Look no more."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def forget_closed(self) -> None:
        """Watch only those that have not been closed."""
        self.watched = {each for each in self.watched if not each.closed}

    def _run(self) -> None:
        looks = 0
        while True:
            gevent.sleep(LOOK)
            now = self._monotonic()
            for connection in [each for each in self.watched if each.deadline <= now]:
                connection.cut()
            looks += 1
            if looks % LOOKS_TO_TIDY == 0:
                for connection in [each for each in self.watched if each.retire_at <= now]:
                    connection.retire()
                before = len(self.watched)
                self.forget_closed()
                if len(self.watched) < before:
                    self._tidy()
