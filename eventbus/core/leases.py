"""The leases of all registrations. Pure: the time is an argument."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from eventbus.core.model import Subscription


@dataclass(frozen=True, slots=True)
class Lease:
    """One subscription's lease. ``ends`` is on the monotonic clock, the other times are seconds since 1970."""

    subscriber: Subscription
    registered_at: float
    renewed_at: float
    ends: float


def end_of_term(subscriber: Subscription, now: float) -> float:
    """Return when a lease ends that is renewed now; that of a declared subscriber does not."""
    return math.inf if subscriber.declared else now + subscriber.options.lease


class Leases:
    """All leases, by the subscriber's key.

    A lease expires exactly on time, however late expired leases are taken out: every method takes ``now``.
    """

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._ends: list[tuple[float, str]] = []  # a heap of times at which to check a lease, never later than its end
        self._checks: dict[str, float] = {}  # by key: the time of the heap's entry that is valid

    def get(self, key: str, now: float) -> Lease | None:
        """Return the live lease of a subscriber, None without one."""
        lease = self._leases.get(key)
        return lease if lease is not None and lease.ends > now else None

    def renew(self, subscriber: Subscription, now: float, wall: float) -> Lease:
        """Begin or renew a subscriber's lease, for the lease in its options."""
        key = subscriber.key
        known = self._leases.get(key)
        began = known.registered_at if known is not None and known.ends > now else wall
        lease = Lease(subscriber, began, wall, end_of_term(subscriber, now))
        self._put(lease)
        return lease

    def restore(self, lease: Lease) -> None:
        """Add a lease from the journal."""
        self._put(lease)

    def end(self, key: str) -> Lease | None:
        """Remove a lease, live or not."""
        self._checks.pop(key, None)
        return self._leases.pop(key, None)

    def take_expired(self, now: float) -> Iterator[Lease]:
        """Remove and yield the expired leases, earliest first."""
        while self._ends and self._ends[0][0] <= now:
            check_at, key = heapq.heappop(self._ends)
            if self._checks.get(key) != check_at:
                continue
            del self._checks[key]
            lease = self._leases[key]
            if lease.ends <= check_at:
                yield self._leases.pop(key)
            else:
                self._put(lease)

    def next_expiry(self) -> float | None:
        """Return when to call take_expired next, at the latest when a lease ends; None without leases."""
        return self._ends[0][0] if self._ends else None

    def _put(self, lease: Lease) -> None:
        key = lease.subscriber.key
        self._leases[key] = lease
        if lease.ends < self._checks.get(key, math.inf):
            self._checks[key] = lease.ends
            heapq.heappush(self._ends, (lease.ends, key))
        if len(self._ends) > 2 * len(self._checks) + 64:
            self._ends = [(check_at, key) for key, check_at in self._checks.items()]
            heapq.heapify(self._ends)

    def __len__(self) -> int:
        return len(self._leases)
