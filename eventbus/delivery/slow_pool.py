"""Keeps room for subscribers that answer: those that do not, or only slowly, get a part of all slots. Pure.

A subscriber that does not answer holds its greenlet until the time-out. Without a limit of their own a few hundred
such subscribers would hold all, and everybody would wait.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterator

from eventbus.delivery.lane.health import Health

#: Seconds from which on an attempt is slow.
SLOW_SECONDS = 1.0

#: Names and IP addresses of the host that a subscriber is on.
Hosts = Collection[str]


class SlowPool:
    """The turns in progress of slow lanes, and the slow lanes that wait for room.

    They get half of all attempts, and those that have failed before at most three eighths, so that there is room for
    those that were not attempted yet. One host gets a quarter at most, whatever the number of its subscribers.

    An attempt that takes long unexpectedly is counted here while it is in flight (``take_over``). So there may be more
    turns than that; the ``excess`` is how many have to end for others that wait.
    """

    def __init__(self, max_in_flight: int, hosts_of: Callable[[Health], Hosts]) -> None:
        self._limit = max(1, max_in_flight // 2)
        self._failed_limit = max(1, max_in_flight * 3 // 8)
        self._host_limit = max(1, max_in_flight // 4)
        self._hosts_of = hosts_of
        self.busy = self._failed_busy = 0  # turns in flight
        self._hosts: Counter[str] = Counter()  # turns in flight by host
        self._waiting = _Waiting()
        self._waiting_for: defaultdict[str, _Waiting] = defaultdict(_Waiting)
        self._waiting_in: dict[Health, _Waiting] = {}  # where each slow lane waits that does

    @property
    def waits(self) -> int:
        """Return how many slow lanes wait for room."""
        return len(self._waiting_in)

    def admit(self, target: Health) -> "Turn | None":
        """Count a turn of a lane, and return it for ``end``; return None if there is no room, and let the lane wait."""
        hosts = self._hosts_of(target)
        full = next((host for host in hosts if self._hosts[host] >= self._host_limit), None)
        if full is None and self._has_room_for(target):
            turn = Turn(hosts, failed=has_failed(target))
            self._count(turn, 1)
            return turn
        self._waiting_in[target] = self._waiting if full is None else self._waiting_for[full]
        self._waiting_in[target].add(target)
        return None

    def take_over(self, target: Health, turn: "Turn | None") -> "Turn | None":
        """Count a turn that takes long as one that failed; return None if it was counted so from its start."""
        if turn is None:
            turn = Turn(self._hosts_of(target), failed=True)
            self._count(turn, 1)
        elif turn.failed or target.delivered:
            return None
        else:
            turn.failed = True
            self._failed_busy += 1
        turn.hangs = target
        target.begin_hanging()
        return turn

    def excess(self, *, others_wait: bool) -> int:
        """Return how many of the turns that were taken over have to end, if lanes that are not slow wait, or not.

        Lanes that were not attempted yet wait in this pool.
        """
        over = self.busy - self._limit if others_wait else 0
        return max(over, self._failed_busy - self._failed_limit if self._waiting.untried else 0, 0)

    def leave(self, target: Health) -> bool:
        """Remove a lane that is not slow any more; return whether it waited."""
        waiting = self._waiting_in.pop(target, None)
        if waiting is not None:
            waiting.remove(target)
        return waiting is not None

    def end(self, turn: "Turn") -> Iterator[Health]:
        """Stop counting a turn; yield lanes for which there is room now, one for each of its hosts and one other.

        Each of them has to be admitted again.
        """
        self._count(turn, -1)
        if turn.hangs is not None:
            turn.hangs.end_hanging()
        for host in turn.hosts:
            waiting = self._waiting_for.get(host)
            if waiting is not None and self._hosts[host] < self._host_limit:
                yield from self._next_of(waiting, lambda _: True)
                if not waiting:
                    del self._waiting_for[host]
        yield from self._next_of(self._waiting, self._has_room_for)

    def _next_of(self, waiting: "_Waiting", may_go: Callable[[Health], bool]) -> Iterator[Health]:
        target = waiting.take(may_go)
        if target is not None:
            del self._waiting_in[target]
            yield target

    def _has_room_for(self, target: Health) -> bool:
        return self.busy < self._limit and not (has_failed(target) and self._failed_busy >= self._failed_limit)

    def _count(self, turn: "Turn", change: int) -> None:
        self.busy += change
        self._failed_busy += change * turn.failed
        for host in turn.hosts:
            self._hosts[host] += change
            if not self._hosts[host]:
                del self._hosts[host]


def has_failed(target: Health) -> bool:
    """Return whether an attempt at a lane has failed, or has taken long unexpectedly."""
    return target.failed_attempts > 0 or target.hung > 0


class Turn:
    """A turn of a slow lane, as it was counted."""

    __slots__ = ("failed", "hangs", "hosts")

    def __init__(self, hosts: Hosts, *, failed: bool) -> None:
        self.hosts, self.failed = hosts, failed
        self.hangs: Health | None = None  # whose attempt it is, where that took long unexpectedly


class _Waiting:
    """Lanes that wait, in turn: those that delivered before, were not attempted yet, or only failed."""

    def __init__(self) -> None:
        self._kinds: deque[OrderedDict[Health, None]] = deque(OrderedDict() for _ in range(3))
        self._delivered, self._untried, self._failed = self._kinds

    def add(self, target: Health) -> None:
        kind = self._delivered if target.delivered else self._failed if has_failed(target) else self._untried
        kind[target] = None

    def remove(self, target: Health) -> None:
        for kind in self._kinds:
            kind.pop(target, None)

    def take(self, may_go: Callable[[Health], bool]) -> Health | None:
        """Remove and return the next lane that may go; None if there is none."""
        for number, kind in enumerate(self._kinds, 1):
            if kind and may_go(next(iter(kind))):
                self._kinds.rotate(-number)
                return kind.popitem(last=False)[0]
        return None

    @property
    def untried(self) -> bool:
        """Return whether a lane waits that was not attempted yet."""
        return bool(self._untried)

    def __bool__(self) -> bool:
        return any(self._kinds)
