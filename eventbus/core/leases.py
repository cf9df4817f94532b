"""The registry: who is registered, and until when. Pure: it is told the time and does no I/O."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from eventbus.core.model import Subscriber


@dataclass(frozen=True, slots=True)
class Lease:
    """One subscriber's lease. ``ends`` counts on the monotonic clock, the others are seconds since 1970."""

    subscriber: Subscriber
    registered_at: float
    renewed_at: float
    ends: float


class Leases:
    """All leases by the address's one spelling.

    A lease ends at its second whether or not anybody looks: every question takes ``now`` and answers
    for the leases that are live at that moment.
    """

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._ends: list[tuple[float, str]] = []  # a heap of when to look at whom, never too late
        self._looks: dict[str, float] = {}  # the entry of that heap that counts for each lease

    def get(self, key: str, now: float) -> Lease | None:
        """The live lease of this address."""
        lease = self._leases.get(key)
        return lease if lease is not None and lease.ends > now else None

    def renew(self, subscriber: Subscriber, now: float, wall: float) -> Lease:
        """Begin or renew a lease for the whole of the subscriber's term."""
        key = subscriber.key
        known = self._leases.get(key)
        began = known.registered_at if known is not None and known.ends > now else wall
        lease = Lease(subscriber, began, wall, now + subscriber.options.lease)
        self._put(lease)
        return lease

    def restore(self, lease: Lease) -> None:
        """Put a lease back that a journal kept."""
        self._put(lease)

    def end(self, key: str) -> Lease | None:
        """Take a lease out, live or not."""
        self._looks.pop(key, None)
        return self._leases.pop(key, None)

    def take_expired(self, now: float) -> Iterator[Lease]:
        """Take out the leases that have ended, the earliest first."""
        while self._ends and self._ends[0][0] <= now:
            look, key = heapq.heappop(self._ends)
            if self._looks.get(key) != look:
                continue
            del self._looks[key]
            lease = self._leases[key]
            if lease.ends <= look:
                yield self._leases.pop(key)
            else:
                self._put(lease)

    def next_expiry(self) -> float | None:
        """When to look again: never later than the next lease's end, sometimes earlier."""
        return self._ends[0][0] if self._ends else None

    def live(self, now: float) -> list[Lease]:
        """The live leases, by address."""
        return sorted(
            (lease for lease in self._leases.values() if lease.ends > now),
            key=lambda lease: lease.subscriber.key,
        )

    def _put(self, lease: Lease) -> None:
        key = lease.subscriber.key
        self._leases[key] = lease
        if lease.ends < self._looks.get(key, math.inf):
            self._looks[key] = lease.ends
            heapq.heappush(self._ends, (lease.ends, key))
        if len(self._ends) > 2 * len(self._looks) + 64:
            self._ends = [(look, key) for key, look in self._looks.items()]
            heapq.heapify(self._ends)

    def __len__(self) -> int:
        return len(self._leases)
