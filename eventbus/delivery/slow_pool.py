"""Keeps room for subscribers that answer: those that do not, or only slowly, have a part of all slots. Pure.

A subscriber that does not answer holds its greenlet until its time is over. Without a limit of their own a few hundred
of them hold all, and everybody waits.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator

from eventbus.delivery.lane import Lane

#: Seconds from which on an attempt is slow.
SLOW_SECONDS = 1.0

#: Scheme, host and port.
Server = tuple[str, str, int]


class SlowPool:
    """The deliveries under way to slow lanes, and the slow lanes that wait for room.

    Those whose last attempt was slow have half of all deliveries, those that were not tried yet a quarter more; one
    server, whatever its subscribers, has no more than half.
    """

    def __init__(self, max_in_flight: int) -> None:
        self._tried = max(1, max_in_flight // 2)
        self._untried = max(1, max_in_flight * 3 // 4)
        self.busy = 0  # deliveries under way to slow lanes
        self.waits = 0  #: slow lanes that wait for room
        self._servers: Counter[Server] = Counter()
        self._waiting: deque[Lane] = deque()
        self._waiting_for: defaultdict[Server, deque[Lane]] = defaultdict(deque)

    def hold(self, lane: Lane) -> bool:
        """Let a lane wait if there is no room for it; whether that is so."""
        server = _server_of(lane)
        if self._servers[server] >= self._tried:
            self._waiting_for[server].append(lane)
        elif self._has_room_for(lane):
            return False
        elif lane.failed_attempts:
            self._waiting.append(lane)
        else:
            self._waiting.appendleft(lane)
        self.waits += 1
        return True

    def begin(self, lane: Lane) -> Server:
        """Count a delivery; the answer is to be given to ``end``."""
        server = _server_of(lane)
        self.busy += 1
        self._servers[server] += 1
        return server

    def end(self, server: Server) -> None:
        """Count it no more."""
        self.busy -= 1
        self._servers[server] -= 1
        if not self._servers[server]:
            del self._servers[server]

    def release(self, lane: Lane) -> Iterator[Lane]:
        """After a turn of a lane: take those out for which there is room by now, one for its server and one other."""
        server = _server_of(lane)
        waiting = self._waiting_for.get(server)
        if waiting is not None and self._servers[server] < self._tried:
            self.waits -= 1
            yield waiting.popleft()
            if not waiting:
                del self._waiting_for[server]
        if self._waiting and self._has_room_for(self._waiting[0]):
            self.waits -= 1
            yield self._waiting.popleft()

    def _has_room_for(self, lane: Lane) -> bool:
        return self.busy < (self._tried if lane.failed_attempts else self._untried)


def _server_of(lane: Lane) -> Server:
    address = lane.subscriber.address
    return address.scheme, address.host, address.port
