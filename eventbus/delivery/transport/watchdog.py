"""Enforces the deadlines of all connections with one greenlet."""

from collections.abc import Callable

import gevent

from eventbus.delivery.transport.connection import Connection

#: Seconds between two checks of the deadlines, and so how late an attempt may end.
POLL_INTERVAL_SECONDS = 0.05


class Watchdog:
    """Aborts connections after their deadline, and retires old ones; calls ``on_closed`` after some have closed."""

    def __init__(self, monotonic: Callable[[], float], on_closed: Callable[[], None], cleanup_interval: float) -> None:
        self._monotonic = monotonic
        self._on_closed = on_closed
        self._polls_per_cleanup = max(1, round(cleanup_interval / POLL_INTERVAL_SECONDS))
        self.connections: set[Connection] = set()  #: all open ones
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Start the greenlet if it does not run."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop the greenlet."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def drop_closed(self) -> None:
        """Stop watching closed connections."""
        self.connections = {each for each in self.connections if not each.closed}

    def _run(self) -> None:
        polls = 0
        while True:
            gevent.sleep(POLL_INTERVAL_SECONDS)
            now = self._monotonic()
            for connection in [each for each in self.connections if each.deadline <= now]:
                connection.abort()
            polls += 1
            if polls % self._polls_per_cleanup == 0:
                for connection in [each for each in self.connections if each.retire_at <= now]:
                    connection.retire()
                before = len(self.connections)
                self.drop_closed()
                if len(self.connections) < before:
                    self._on_closed()
