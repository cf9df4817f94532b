"""The open connections of a worker: how many there may be, and which of them end when that is short.

A connection is idle while it waits for a request. An idle one ends to make room for a new one. Where none is idle, the
new one is served as far as needed to ask after the bus's health, and else answered 503. Connections that last, streams
and long polls, never take all of them, and no address takes all of anything.
"""

import logging
from collections import Counter
from collections.abc import Callable
from socket import SHUT_RD, SHUT_RDWR
from typing import Any

import gevent

from eventbus.telemetry.counters import Counters
from eventbus.web.server.byte_budget import ByteBudget
from eventbus.web.server.peer_share import share_of

#: Connections that are accepted beyond the limit: what they are answered is an error, or how the bus is.
RESERVE = 256
#: Seconds until a shortage is logged again.
LOG_AGAIN_SECONDS = 60.0
#: Seconds between two looks whether all have ended.
LOOK = 0.05

log = logging.getLogger(__name__)


class ClientConnection:
    """One client's connection; ``counted`` and ``lasting`` are how it is counted, ``beyond`` is one over the limit."""

    __slots__ = ("_all", "beyond", "client", "counted", "held", "lasting", "peer")

    def __init__(self, connections: "Connections", client: Any, peer: str) -> None:
        self._all = connections
        self.client = client
        self.peer = peer
        self.beyond = False
        self.counted = False
        self.lasting = False
        self.held = 0  # bytes of its request's body, and of its answer

    def last(self) -> bool:
        """Become one that lasts, for a stream or a long poll; false where there are as many as there may be."""
        self.lasting = self.lasting or self._all.may_last(self.peer)
        return self.lasting

    def is_idle(self) -> None:
        """It waits for a request; what lasted is over."""
        self._all.idle(self)

    def is_busy(self) -> None:
        """Its request has come."""
        self._all.busy(self)

    def take(self, count: int) -> None:
        """Hold so many bytes more, until its request is over. Raises Crowded."""
        self._all.budget.take(self.peer, count)
        self.held += count

    def give_back(self, count: int) -> None:
        """Hold so many bytes less."""
        self._all.budget.give_back(self.peer, count)
        self.held -= count

    def end(self, how: int = SHUT_RD) -> None:
        """Let it read what has come, and nothing after it: a request that is there already is still answered.

        With SHUT_RDWR nothing is answered any more either.
        """
        try:
            self.client.shutdown(how)
        except OSError as error:
            log.debug("a connection ended: %r", error)


class Connections:
    """All of a worker's, of which ``limit`` may be open; what is counted goes to ``counters``.

    Of all, and of those that last, ``per_address`` limits what one address takes; 0 is three quarters of them.
    """

    def __init__(
        self, limit: int, counters: Counters, clock: Callable[[], float], budget: ByteBudget, per_address: int = 0
    ) -> None:
        self.limit = limit
        self.most_lasting = _most(limit)
        self.per_address = min(per_address or _most(limit), limit)
        self.lasting_per_address = min(per_address or _most(self.most_lasting), self.most_lasting)
        self.budget = budget
        self._by_address: Counter[str] = Counter()
        self._lasting_by_address: Counter[str] = Counter()
        self._counters = counters
        self._clock = clock
        self._open: set[ClientConnection] = set()
        self._idle: dict[
            str, dict[ClientConnection, None]
        ] = {}  # by peer; the one that is idle for the longest time first
        self._logged_at = -LOG_AGAIN_SECONDS
        counters.connections_limit = limit

    def open(self, client: Any, peer: str) -> ClientConnection:
        """A new connection, for which another one may have been ended."""
        found = ClientConnection(self, client, share_of(peer))
        self._open.add(found)
        if self._by_address[found.peer] >= self.per_address:
            counted = self._make_room(found.peer)
        else:
            counted = self._counters.connections < self.limit or self._make_room()
        found.beyond = not counted
        if counted:
            self._count(found, 1)
        return found

    def close(self, connection: ClientConnection) -> None:
        """It has ended."""
        self._open.discard(connection)
        self.busy(connection)
        self._over(connection)
        if connection.counted:
            self._count(connection, -1)

    def may_last(self, peer: str) -> bool:
        """Count one more that lasts; false where there are as many as there may be, in all or from its address."""
        mine, every = self._lasting_by_address[peer], self._counters.connections_lasting
        if every >= self.most_lasting:
            self._warn("%d streams and long polls are open: no more are taken", every)
            return False
        if mine >= self.lasting_per_address:
            self._warn("%d streams and long polls are open from %s: no more of it are taken", mine, peer)
            return False
        self._count_lasting(peer, 1)
        return True

    def idle(self, connection: ClientConnection) -> None:
        """A connection waits for a request."""
        self._over(connection)
        self._idle.setdefault(connection.peer, {})[connection] = None

    def busy(self, connection: ClientConnection) -> None:
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

    def _over(self, connection: ClientConnection) -> None:
        """What lasted on a connection is over, and what it held is not needed any more."""
        if connection.held:
            connection.give_back(connection.held)
        if connection.lasting:
            self._count_lasting(connection.peer, -1)
            connection.lasting = False

    def _count(self, connection: ClientConnection, step: int) -> None:
        connection.counted = step > 0
        self._counters.connections += step
        _add(self._by_address, connection.peer, step)

    def _count_lasting(self, peer: str, step: int) -> None:
        self._counters.connections_lasting += step
        _add(self._lasting_by_address, peer, step)

    def _make_room(self, peer: str | None = None) -> bool:
        """End the connection that is idle for the longest time, of the peer that has most idle; whether that helps.

        Where a ``peer`` is given it is that one's, which has as many connections as it may.
        """
        if not self._idle or (peer is not None and peer not in self._idle):
            if peer is None:
                self._warn("%d connections are open and none is idle: new ones are answered 503", self.limit)
            else:
                self._warn(
                    "%d connections are open from %s and none is idle: its new ones are answered 503",
                    self.per_address,
                    peer,
                )
            return False
        chosen = peer or max(self._idle, key=lambda each: len(self._idle[each]))
        victim = next(iter(self._idle[chosen]))
        self.busy(victim)
        victim.end()
        if not victim.counted:  # it only takes the place of another one beyond the limit
            return False
        if peer is None:
            self._warn("%d connections are open: idle ones are closed for new ones", self.limit)
        else:
            self._warn("%d connections are open from %s: its idle ones are closed for new ones", self.per_address, peer)
        self._count(victim, -1)
        self._counters.connections_closed_idle += 1
        return True

    def _warn(self, sentence: str, *values: object) -> None:
        """Log a shortage, once in a while."""
        now = self._clock()
        if now - self._logged_at >= LOG_AGAIN_SECONDS:
            self._logged_at = now
            log.warning(sentence, *values)


def _most(count: int) -> int:
    """What may be taken of so many, so that something is left for others."""
    return max(1, count * 3 // 4)


def _add(counts: Counter[str], peer: str, step: int) -> None:
    """Count, and forget who has none."""
    counts[peer] += step
    if not counts[peer]:
        del counts[peer]
