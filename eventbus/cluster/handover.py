"""Hands subscriptions over to peers: a few, so that each node has its share, or all of a node that is about to end."""

import logging
from collections.abc import Sequence
from contextlib import suppress

import gevent

from eventbus.cluster.base import LocalSubscriptions
from eventbus.cluster.timing import ClusterTiming
from eventbus.core.errors import JournalError
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.phase import Phase
from eventbus.journal.cluster_journal import Members

#: Subscriptions that are handed over in one commit.
HANDOVER_LANES = 200

log = logging.getLogger(__name__)


class Handover:
    """Hands over a subscription once nothing is in flight for it and all its changes are saved."""

    def __init__(self, local: LocalSubscriptions, members: Members, timing: ClusterTiming) -> None:
        self._local = local
        self._members = members
        self._timing = timing
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._ends = False  # this node is about to end
        self._stopped = False

    def hand_over(self, count: int) -> None:
        """Begin to hand over so many subscriptions, those with the smallest backlogs; once at a time."""
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._hand_over_some, count)

    def hand_over_all(self) -> None:
        """Begin to hand over all: first those for which nothing is in flight, the others as that ends."""
        self._ends = True
        self._greenlet = gevent.spawn(self._hand_over_rest, self._greenlet)

    def stop(self) -> None:
        """Hand over nothing more, once the handover that has begun is done or has taken long."""
        self._ends = self._stopped = True
        if self._greenlet is not None:
            self._greenlet.join(self._timing.stop_seconds)
            self._greenlet.kill()

    def _hand_over_some(self, count: int) -> None:
        lanes = sorted(self._movable(), key=lambda lane: lane.backlog)[:count]
        _begin_leaving(lanes)
        deadline, moved = self._local.clock.monotonic() + self._timing.in_flight_seconds, 0
        try:
            for lane in lanes:
                while lane.in_flight and self._local.clock.monotonic() < deadline and not self._ends:
                    gevent.sleep(self._timing.check_interval_seconds)
                moved += self._move([lane])
                self._keep(lane)
        finally:
            for lane in lanes:
                self._keep(lane)
            _log_moved(moved)

    def _hand_over_rest(self, former: "gevent.Greenlet[..., None] | None") -> None:
        if former is not None:
            former.join()
        moved = 0
        if self._withdraw():
            while not self._stopped and (lanes := self._movable()):
                _begin_leaving(lanes)
                idle = [lane for lane in lanes if self._local.is_idle(lane)][:HANDOVER_LANES]
                done = self._move(idle) if idle else 0
                moved += done
                if not done:
                    gevent.sleep(self._timing.retry_delay_seconds if idle else self._timing.check_interval_seconds)
        _log_moved(moved)

    def _withdraw(self) -> bool:
        """Acquire no more; return whether there are peers that can acquire what this node owns."""
        try:
            peers = self._members.peers()
            if peers:
                self._members.withdraw()
        except JournalError as error:
            log.warning("peers acquire the subscriptions only after this node has ended: %s", error)
            return False
        return bool(peers)

    def _movable(self) -> list[Lane]:
        return [lane for lane in self._local.lanes.values() if lane.renewable]

    def _keep(self, lane: Lane) -> None:
        """Deliver again for a lane that was not handed over, if it is still there."""
        if lane.phase is Phase.LEAVING:
            lane.stay()
            self._local.schedule(lane)

    def _move(self, lanes: Sequence[Lane]) -> int:
        """Save lanes for the last time here, and let peers acquire them; return how many. The others stay.

        What could not be saved is done again by the next owner.
        """
        with self._local.hold(*(lane.subscriber.key for lane in lanes)), self._local.transaction():
            try:
                self._local.save(lanes)
                idle = [lane for lane in lanes if self._local.is_idle(lane) and not lane.closed]
                if not idle:
                    return 0
                keys = [lane.subscriber.key for lane in idle]
                self._local.remove(keys)
                self._local.save_removed(idle)
            except JournalError as error:
                log.warning("%d subscriptions could not be saved before their handover: %s", len(lanes), error)
                return 0
            with suppress(JournalError):  # then Ownership releases them later
                self._members.release(keys)
        return len(idle)


def _begin_leaving(lanes: Sequence[Lane]) -> None:
    for lane in lanes:
        if lane.phase is not Phase.LEAVING:
            lane.leave()


def _log_moved(count: int) -> None:
    if count:
        log.info("%d subscriptions handed over", count)
