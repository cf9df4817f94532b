"""The open connections of a worker: their limits, and which one is closed when a limit is reached.

A connection is idle while it waits for a request. An idle one is closed to make room for a new one. If none is idle,
the new one may only request health checks and metrics; anything else is answered 503. Long-lived connections (streams
and long polls) never take all of them, and one address never takes all of either kind.
"""

import logging
from collections import Counter
from collections.abc import Callable
from socket import SHUT_RD, SHUT_RDWR
from typing import Any

import gevent

from eventbus.telemetry.counters import Counters
from eventbus.web.server.byte_budget import ByteBudget
from eventbus.web.server.peer_closed import peer_has_closed
from eventbus.web.server.peer_share import share_of

#: Connections that are accepted beyond the limit, to answer them with an error or a health check.
RESERVED_CONNECTIONS = 256
#: Seconds before the same warning about a reached limit is logged again.
LOG_INTERVAL_SECONDS = 60.0
#: Seconds between two checks whether all connections have closed.
POLL_INTERVAL_SECONDS = 0.05

log = logging.getLogger(__name__)


class ClientConnection:
    """One client's connection.

    ``counted``: it counts towards the limit. ``long_lived``: it counts as a stream or long poll. ``over_limit``: it was
    accepted beyond the limit.
    """

    __slots__ = ("_all", "client", "counted", "held", "long_lived", "over_limit", "peer")

    def __init__(self, connections: "Connections", client: Any, peer: str) -> None:
        self._all = connections
        self.client = client
        self.peer = peer
        self.over_limit = False
        self.counted = False
        self.long_lived = False
        self.held = 0  # bytes of its request's body and its unread response

    def acquire_long_lived(self) -> bool:
        """Count this connection as a stream or long poll; return false if the limit is reached."""
        self.long_lived = self.long_lived or self._all.acquire_long_lived(self.peer)
        return self.long_lived

    def wrap(self, wrapper: Callable[[Any], Any]) -> Any:
        """Replace the socket by one that wraps it, for TLS, and return that."""
        self.client = wrapper(self.client)
        return self.client

    def has_gone(self) -> bool:
        """Return whether the client has closed the connection, or its half of it; nothing is read."""
        return peer_has_closed(self.client.fileno())

    def mark_idle(self) -> None:
        """Note that the connection waits for a request; release what its last request held."""
        self._all.mark_idle(self)

    def mark_busy(self) -> None:
        """Note that a request has arrived."""
        self._all.mark_busy(self)

    def take(self, count: int) -> None:
        """Count ``count`` more bytes as held until the request is over. Raises TooManyStreams."""
        self._all.budget.take(self.peer, count)
        self.held += count

    def release(self, count: int) -> None:
        """Count ``count`` fewer bytes as held, at most all: none are once the request is over."""
        count = min(count, self.held)
        self._all.budget.release(self.peer, count)
        self.held -= count

    def end(self, how: int = SHUT_RD) -> None:
        """Shut the connection down for reading: a request that has already arrived is still answered.

        With SHUT_RDWR no response is sent any more either.
        """
        try:
            self.client.shutdown(how)
        except OSError as error:
            log.debug("connection closed: %r", error)


class Connections:
    """All connections of a worker, at most ``limit``; ``counters`` receives their numbers.

    ``per_address`` limits the connections, and the long-lived ones, of one address; 0 is three quarters of the limit.
    """

    def __init__(
        self, limit: int, counters: Counters, clock: Callable[[], float], budget: ByteBudget, per_address: int = 0
    ) -> None:
        self.limit = limit
        self.max_long_lived = _three_quarters(limit)
        self.per_address = min(per_address or _three_quarters(limit), limit)
        self.long_lived_per_address = min(per_address or _three_quarters(self.max_long_lived), self.max_long_lived)
        self.budget = budget
        self._by_address: Counter[str] = Counter()
        self._long_lived_by_address: Counter[str] = Counter()
        self._counters = counters
        self._clock = clock
        self._open: set[ClientConnection] = set()
        self._idle: dict[str, dict[ClientConnection, None]] = {}  # by peer; longest idle first
        self._logged_at = -LOG_INTERVAL_SECONDS
        counters.connections_limit = limit

    def open(self, client: Any, peer: str) -> ClientConnection:
        """Add a new connection; close an idle one if a limit is reached."""
        found = ClientConnection(self, client, share_of(peer))
        self._open.add(found)
        if self._by_address[found.peer] >= self.per_address:
            counted = self._make_room(found.peer)
        else:
            counted = self._counters.connections < self.limit or self._make_room()
        found.over_limit = not counted
        if counted:
            self._count(found, 1)
        return found

    def close(self, connection: ClientConnection) -> None:
        """Remove a closed connection."""
        self._open.discard(connection)
        self.mark_busy(connection)
        self._release(connection)
        if connection.counted:
            self._count(connection, -1)

    def acquire_long_lived(self, peer: str) -> bool:
        """Count one more stream or long poll; return false if a limit is reached, in total or for its address."""
        of_peer, total = self._long_lived_by_address[peer], self._counters.connections_lasting
        if total >= self.max_long_lived:
            self._warn("%d streams and long polls are open: rejecting new ones", total)
            return False
        if of_peer >= self.long_lived_per_address:
            self._warn("%d streams and long polls are open from %s: rejecting its new ones", of_peer, peer)
            return False
        self._count_long_lived(peer, 1)
        return True

    def mark_idle(self, connection: ClientConnection) -> None:
        """Note that a connection waits for a request; release what its last request held."""
        self._release(connection)
        self._idle.setdefault(connection.peer, {})[connection] = None

    def mark_busy(self, connection: ClientConnection) -> None:
        """Note that a connection does not wait for a request any more."""
        idle = self._idle.get(connection.peer, {})
        idle.pop(connection, None)
        if not idle:
            self._idle.pop(connection.peer, None)

    def end_idle(self) -> None:
        """Close all idle connections."""
        for connection in [each for idle in self._idle.values() for each in idle]:
            connection.end()

    def end_rest(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the open connections to close, then cut the rest: a client may never read."""
        deadline = self._clock() + seconds
        while self._open and self._clock() < deadline:
            gevent.sleep(POLL_INTERVAL_SECONDS)
        if self._open:
            log.info("cutting %d connections whose clients did not finish in time", len(self._open))
        for connection in list(self._open):
            connection.end(SHUT_RDWR)

    def _release(self, connection: ClientConnection) -> None:
        """Release the bytes that a request held, and the count of a long-lived one."""
        if connection.held:
            connection.release(connection.held)
        if connection.long_lived:
            self._count_long_lived(connection.peer, -1)
            connection.long_lived = False

    def _count(self, connection: ClientConnection, step: int) -> None:
        connection.counted = step > 0
        self._counters.connections += step
        _add(self._by_address, connection.peer, step)

    def _count_long_lived(self, peer: str, step: int) -> None:
        self._counters.connections_lasting += step
        _add(self._long_lived_by_address, peer, step)

    def _make_room(self, peer: str | None = None) -> bool:
        """Close the longest idle connection of the peer with the most idle ones; return whether that made room.

        With a ``peer``, which has reached its own limit, close one of that peer's.
        """
        if not self._idle or (peer is not None and peer not in self._idle):
            if peer is None:
                self._warn("%d connections are open and none is idle: answering new ones with 503", self.limit)
            else:
                self._warn(
                    "%d connections are open from %s and none is idle: answering its new ones with 503",
                    self.per_address,
                    peer,
                )
            return False
        chosen = peer or max(self._idle, key=lambda each: len(self._idle[each]))
        victim = next(iter(self._idle[chosen]))
        self.mark_busy(victim)
        victim.end()
        if not victim.counted:  # it was over the limit itself, so closing it frees nothing
            return False
        if peer is None:
            self._warn("%d connections are open: closing idle ones for new ones", self.limit)
        else:
            self._warn("%d connections are open from %s: closing its idle ones for new ones", self.per_address, peer)
        self._count(victim, -1)
        self._counters.connections_closed_idle += 1
        return True

    def _warn(self, sentence: str, *values: object) -> None:
        """Log that a limit is reached, at most once in LOG_INTERVAL_SECONDS."""
        now = self._clock()
        if now - self._logged_at >= LOG_INTERVAL_SECONDS:
            self._logged_at = now
            log.warning(sentence, *values)


def _three_quarters(count: int) -> int:
    """Return three quarters of a count, at least 1."""
    return max(1, count * 3 // 4)


def _add(counts: Counter[str], peer: str, step: int) -> None:
    """Change a peer's count, and remove the peer at zero."""
    counts[peer] += step
    if not counts[peer]:
        del counts[peer]
