"""The open connections of a worker: how many there may be, and which of them end when that is short.

A connection is idle while it waits for a request. An idle one ends to make room for a new one. Where none is idle, the
new one is served as far as needed to ask after the bus's health, and else answered 503. Connections that last, streams
and long polls, never take all of them.
"""

import logging
from collections.abc import Callable
from socket import SHUT_RD, SHUT_RDWR
from typing import Any

import gevent
from gevent.socket import socket

from eventbus.meters import Meters

#: Connections that are accepted beyond the limit: what they are answered is an error, or how the bus is.
RESERVE = 256
#: Seconds until a shortage is logged again.
LOG_AGAIN_SECONDS = 60.0
#: Seconds between two looks whether all have ended.
LOOK = 0.05

log = logging.getLogger(__name__)


class Connection:
    """One client's connection; ``counted`` and ``lasting`` are how it is counted, ``beyond`` is one over the limit."""

    __slots__ = ("_all", "beyond", "client", "counted", "lasting", "peer")

    def __init__(self, connections: "Connections", client: Any, peer: str) -> None:
        self._all = connections
        self.client = client
        self.peer = peer
        self.beyond = False
        self.counted = False
        self.lasting = False

    def last(self) -> bool:
        """Become one that lasts, for a stream or a long poll; false where there are as many as there may be."""
        self.lasting = self.lasting or self._all.may_last()
        return self.lasting

    def is_idle(self) -> None:
        """It waits for a request; what lasted is over."""
        self._all.idle(self)

    def is_busy(self) -> None:
        """Its request has come."""
        self._all.busy(self)

    def end(self, how: int = SHUT_RD) -> None:
        """Let it read what has come, and nothing after it: a request that is there already is still answered.

        With SHUT_RDWR nothing is answered any more either.
        """
        try:
            socket.shutdown(self.client, how)  # not TLS's own, which would go on in plain text
        except OSError as error:
            log.debug("a connection ended: %r", error)


class Connections:
    """All of a worker's, of which ``limit`` may be open; what is counted goes to ``meters``."""

    def __init__(self, limit: int, meters: Meters, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.most_lasting = limit * 3 // 4
        self._meters = meters
        self._clock = clock
        self._open: set[Connection] = set()
        self._idle: dict[str, dict[Connection, None]] = {}  # by peer; the one that is idle for the longest time first
        self._logged_at = -LOG_AGAIN_SECONDS
        meters.connections_limit = limit

    def open(self, client: Any, peer: str) -> Connection:
        """A new connection, for which another one may have been ended."""
        found = Connection(self, client, peer)
        self._open.add(found)
        found.counted = self._meters.connections < self.limit or self._make_room()
        found.beyond = not found.counted
        self._meters.connections += found.counted
        return found

    def close(self, connection: Connection) -> None:
        """It has ended."""
        self._open.discard(connection)
        self.busy(connection)
        self._over(connection)
        self._meters.connections -= connection.counted
        connection.counted = False

    def may_last(self) -> bool:
        """Count one more that lasts; false where there are as many as there may be."""
        if self._meters.connections_lasting >= self.most_lasting:
            if self._is_news():
                log.warning("%d streams and long polls are open: no more are taken", self.most_lasting)
            return False
        self._meters.connections_lasting += 1
        return True

    def idle(self, connection: Connection) -> None:
        """A connection waits for a request."""
        self._over(connection)
        self._idle.setdefault(connection.peer, {})[connection] = None

    def busy(self, connection: Connection) -> None:
        """A connection does not wait for a request any more."""
        mine = self._idle.get(connection.peer, {})
        mine.pop(connection, None)
        if not mine:
            self._idle.pop(connection.peer, None)

    def end_idle(self) -> None:
        """End all that are idle."""
        for connection in [each for mine in self._idle.values() for each in mine]:
            connection.end()

    def end_rest(self, seconds: float) -> None:
        """End all that are still open after so many seconds: a client that does not read holds up nothing else."""
        deadline = self._clock() + seconds
        while self._open and self._clock() < deadline:
            gevent.sleep(LOOK)
        if self._open:
            log.info("%d connections are cut: their clients do not read, or are not done", len(self._open))
        for connection in list(self._open):
            connection.end(SHUT_RDWR)

    def _over(self, connection: Connection) -> None:
        """What lasted on a connection is over."""
        self._meters.connections_lasting -= connection.lasting
        connection.lasting = False

    def _make_room(self) -> bool:
        """End the connection that is idle for the longest time, of the peer that has most idle; whether that helps."""
        if not self._idle:
            if self._is_news():
                log.warning("%d connections are open and none is idle: new ones are answered 503", self.limit)
            return False
        peer = max(self._idle, key=lambda each: len(self._idle[each]))
        victim = next(iter(self._idle[peer]))
        self.busy(victim)
        victim.end()
        if not victim.counted:  # it only takes the place of another one beyond the limit
            return False
        if self._is_news():
            log.warning("%d connections are open: idle ones are closed for new ones", self.limit)
        victim.counted = False
        self._meters.connections -= 1
        self._meters.connections_closed_idle += 1
        return True

    def _is_news(self) -> bool:
        """Whether a shortage is worth a line in the log: once in a while."""
        now = self._clock()
        if now - self._logged_at < LOG_AGAIN_SECONDS:
            return False
        self._logged_at = now
        return True
