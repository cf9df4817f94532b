"""Where leases expire: a greenlet that finds the leases which were not renewed."""

import logging

import gevent
from gevent.event import Event as Signal

from eventbus.core.leases import Lease
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.memberships import NOT_RENEWED, Memberships
from eventbus.services.node import Node

log = logging.getLogger(__name__)


class Sweeper:
    """Sleeps until the next lease expires, or at most ``sweep_seconds``, and expires those that are over."""

    def __init__(self, node: Node, expiry: LeaseExpiry, memberships: Memberships, sweep_seconds: float) -> None:
        self._leases = node.leases
        self._dispatcher = node.dispatcher
        self._clock = node.clock
        self._expiry = expiry
        self._memberships = memberships
        self._sweep_seconds = sweep_seconds
        self._changed = Signal()

    def start(self) -> None:
        """Begin to sweep."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Expire no more leases: after a restart each gets its full time again."""
        self._greenlet.kill()

    def wake(self) -> None:
        """Look again when the next lease expires: one may expire sooner than was known."""
        self._changed.set()

    def sweep(self) -> None:
        """Expire the leases that are over now."""
        for lease in self._leases.take_expired(self._clock.monotonic()):
            self.expire(lease)

    def expire_lease_of(self, key: str) -> None:
        """Expire a subscriber's lease, which is over, before the sweeper comes to it."""
        lease = self._leases.end(key)
        if lease is not None:
            self.expire(lease)

    def expire(self, lease: Lease, why: str = NOT_RENEWED) -> None:
        """Keep the position of a subscriber that has not renewed, or make dead letters of what is pending for it.

        A member leaves its group. ``why`` is what the log says.
        """
        if self._memberships.expire(lease.subscriber.key, why):
            return
        lane = self._dispatcher.lanes.get(lease.subscriber.key)
        if lane is None or not lane.renewable:
            return
        log.info(
            "lease of %s ended: %s, %d pending",
            lease.subscriber.key,
            why,
            lane.backlog,
            extra={"address": lease.subscriber.key},
        )
        if lane.subscriber.options.resume:
            lane.park(self._clock.wall())
        else:
            self._expiry.dead_letter(lane)

    def _run(self) -> None:
        while True:
            self.sweep()
            self._changed.wait(self._seconds_to_wait())
            self._changed.clear()

    def _seconds_to_wait(self) -> float:
        ends = self._leases.next_expiry()
        if ends is None:
            return self._sweep_seconds
        return max(0.0, min(self._sweep_seconds, ends - self._clock.monotonic()))
