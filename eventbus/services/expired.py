"""Expired subscribers: their lease ended, they have not registered again, and something of theirs is still kept.

Those with something pending are lanes in memory. Of the others only the journal knows; it is read at intervals, by
one node of a cluster for all.
"""

import logging
from dataclasses import replace

import gevent

from eventbus.core.errors import JournalError
from eventbus.core.records import Checkpoint, LaneRecord
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of
from eventbus.services.node import Node
from eventbus.telemetry.failure_log import FailureLog

#: Part of the time that reading the journal may take, and seconds between two reads at most.
MAX_SHARE, MAX_INTERVAL_SECONDS = 0.02, 60.0
#: Ended registrations that are read, the newest first, and how many of them in one step.
MAX_RECORDS, PAGE_RECORDS = 2_000, 25

log = logging.getLogger(__name__)


class ExpiredSubscribers:
    """Knows the expired subscribers; redelivers to them, and removes them."""

    def __init__(self, node: Node) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._locks = node.locks
        self._rules = node.rules
        self._clock = node.clock
        self._cluster = node.cluster
        self._interval_seconds = node.timing.expired_interval_seconds
        self._closed: dict[str, Lane] = {}
        self._failures = FailureLog(log, "expired subscribers are not read", "expired subscribers are read again")
        self.removed_dead = 0  #: dead letters of those that deregistered or answered 410

    def start(self) -> None:
        """Begin to read at intervals."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Read no more."""
        self._greenlet.kill()

    def lanes(self) -> list[Lane]:
        """Return expired subscribers by address: those in memory here, and those that only the journal has."""
        now = self._clock.monotonic()
        here = self._dispatcher.lanes
        found = [lane for lane in here.values() if lane.lease.ends <= now]
        found += [lane for key, lane in self._closed.items() if key not in here]
        return sorted(found, key=lambda lane: lane.subscriber.key)

    @property
    def dead_letters(self) -> int:
        """Return how many dead letters are of subscriptions that only the journal has."""
        here = self._dispatcher.lanes
        return self.removed_dead + sum(lane.dead for key, lane in self._closed.items() if key not in here)

    def __contains__(self, key: str) -> bool:
        """Return whether a subscriber was expired when the journal was read last."""
        return key in self._closed

    def find(self, key: str) -> Lane | None:
        """Return one that only the journal has. Raises JournalError."""
        record = self._journal.lane(key)
        return None if record is None or not record.expired else self._lane(record)

    def keep(self, key: str) -> bool:
        """Put an expired subscriber's lane back, so that its dead letters wait for it; return whether it is one.

        Raises NotOwner and JournalError.
        """
        with self._locks.hold(key):
            if key in self._dispatcher.lanes:
                return True
            record = self._journal.lane(key)
            if record is None or not record.expired:
                return False
            if record.account.dead:
                self._cluster.claim(key)
                if key not in self._dispatcher.lanes:
                    lane = self._lane(record)
                    lane.mark_not_durable()  # so that its return is saved, whatever it asks for
                    self._dispatcher.registry.add(lane)
                    self._dispatcher.registry.unindex(lane)
            return True

    def remove(self, key: str) -> None:
        """List a subscriber that deregistered no more. Raises JournalError."""
        checkpointer = self._dispatcher.checkpointer
        with self._locks.hold(key), checkpointer.transaction() as transaction:
            record = None if key in self._dispatcher.lanes else self._journal.lane(key)
            if record is not None and record.expired:
                removed = replace(record, expired=False)
                decided = Checkpoint(self._clock.wall(), self._dispatcher.recent.newest, lanes=(removed,))
                transaction.decide(Decision(lambda: decided, lambda: self._closed.pop(key, None), keys=[key]))
            self._closed.pop(key, None)

    def note(self, lane: Lane) -> None:
        """List a lane that has just been closed, before the journal is read again."""
        self._closed[lane.subscriber.key] = lane

    def refresh(self) -> None:
        """Read who is expired. Raises JournalError."""
        closed: dict[str, Lane] = {}
        removed_dead = 0
        for skip in range(0, MAX_RECORDS, PAGE_RECORDS) if self._cluster.try_acquire_trimmer() else ():
            page = self._journal.newest_closed(skip, PAGE_RECORDS)
            closed |= {record.subscriber.key: self._lane(record) for record in page if record.expired}
            removed_dead += sum(record.account.dead for record in page if not record.expired)
            if len(page) < PAGE_RECORDS:
                break
            gevent.sleep(0)
        self._closed, self.removed_dead = closed, removed_dead

    def _lane(self, record: LaneRecord) -> Lane:
        now, wall = self._clock.monotonic(), self._clock.wall()
        return lane_of(record, self._rules, retries=0, ends=now, now=now, wall=wall)

    def _run(self) -> None:
        while True:
            began = self._clock.monotonic()
            with self._failures.logged(JournalError):
                self.refresh()
            pause = min(MAX_INTERVAL_SECONDS, (self._clock.monotonic() - began) / MAX_SHARE)
            gevent.sleep(max(self._interval_seconds, pause))
