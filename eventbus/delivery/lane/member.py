"""A member of a group: one address, how it is doing, and how many deliveries it has in flight. Pure."""

import math

from eventbus.core.leases import Lease
from eventbus.core.model import Subscriber
from eventbus.core.override import override
from eventbus.core.records import LaneRecord
from eventbus.core.topics import matches
from eventbus.delivery.lane.health import Health, Rules

#: The rank of a member that may get a delivery: the fewest in flight first, then the one that was idle longest.
Rank = tuple[float, int, int, "Member"]


class Member(Health):
    """One of the addresses that share a group's deliveries. The roster sets ``in_flight``, ``looked_at``, ``rank``."""

    subscriber: Subscriber

    def __init__(self, record: LaneRecord, lease: Lease, rules: Rules, number: int) -> None:
        super().__init__(record, rules)
        self.lease = lease
        self.number = number  #: rises with each member that joins the group
        self.in_flight = 0
        self.used = 0  #: when it was chosen last: rises with each delivery of the group
        self.waits_for_slot = False  #: it is slow, and all slots for slow subscribers are in use
        self.has_left = False  #: the group; what it has in flight may still end
        self.looked_at = math.inf  #: when the roster looks next whether it may get a delivery; inf if it need not
        self.rank: Rank | None = None  #: its valid rank among those that may get a delivery

    def wants(self, topic: str | None) -> bool:
        """Return whether its topics match."""
        return matches(self.subscriber.options.topics, topic)

    def renew(self, lease: Lease, now: float, *, draining: bool) -> bool:
        """Begin the lease's next term on its options; return whether those are others than before.

        Where the member is down, it may be attempted at once.
        """
        assert isinstance(lease.subscriber, Subscriber)  # noqa: S101 - it is a member's
        changed = lease.subscriber != self.subscriber
        self.lease, self.subscriber, self.draining = lease, lease.subscriber, draining
        self.end_backoff(now)
        self._fit()
        return changed

    def ready_at(self) -> float:
        """Return from when on an attempt may start (monotonic seconds)."""
        return max(self.not_before, self.pace.ready_at)

    @property
    def is_fit(self) -> bool:
        """Return whether it takes deliveries: it is neither down nor paused, and waits for no renewal."""
        return self.works and not self.starts_nothing and self.pause is None

    @override
    def touch(self) -> None:
        """Do nothing: a member is saved with its group."""
