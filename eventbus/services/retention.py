"""How long things are kept: removes what is settled after the retention, or early when the journal nears a limit."""

import logging

import gevent

from eventbus.core.errors import JournalError, NotOwner
from eventbus.core.settings import Settings
from eventbus.services.dead_letters import DeadLetters
from eventbus.services.ended_records import EndedRecords
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.journal_room import JournalRoom
from eventbus.services.node import Node
from eventbus.services.quota_enforcer import QuotaEnforcer
from eventbus.services.trimmer import Trimmer
from eventbus.telemetry.failure_log import FailureLog

#: The retention pauses this many times as long as its last run took, so that it costs a bounded share of the time;
#: fewer times while publishers wait for room.
PAUSE_FACTOR, PAUSE_FACTOR_UNDER_PRESSURE = 10, 2
#: Seconds that it pauses at most.
MAX_PAUSE_SECONDS = 60.0
#: Part of the journal's limit that the records of ended registrations may take together.
ENDED_SHARE = 1 / 16

log = logging.getLogger(__name__)


class Retention:
    """A greenlet that removes, at intervals, what need not be kept any longer."""

    def __init__(
        self, node: Node, settings: Settings, expiry: LeaseExpiry, letters: DeadLetters, quota: QuotaEnforcer
    ) -> None:
        self._seconds = settings.retention_seconds
        self._interval_seconds = node.timing.retention_interval_seconds
        self._dispatcher = node.dispatcher
        self._clock = node.clock
        self._cluster = node.cluster
        self._expiry = expiry
        self._letters = letters
        self._quota = quota
        self.room = JournalRoom(node.journal, settings.journal_max_bytes, node.timing.room_seconds)
        self._trimmer = Trimmer(node, self.room, node.timing.retention_page_events)
        self._ended = EndedRecords(node, int(ENDED_SHARE * settings.journal_max_bytes))
        self._was_full = False  # at the end of the last run
        self._failures = FailureLog(log, "settled events are not removed", "settled events are removed again")

    def start(self) -> None:
        """Measure the journal, and begin to remove."""
        self.room.measure()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Remove nothing more."""
        self._greenlet.kill()

    def lanes_moved(self) -> None:
        """Remove nothing that lanes may need which have moved between nodes."""
        self._trimmer.lanes_moved()

    def run_once(self) -> None:
        """Remove what may go now. Raises NotOwner and JournalError."""
        self.room.measure()
        before = self._clock.wall() - self._seconds
        self._quota.log_given_up()
        self._expire_parked(before)
        while self._letters.expire(before):
            gevent.sleep(0)
        if not self._cluster.try_acquire_trimmer():
            if self._was_full:
                self._relieve()
            self._was_full = self.room.above_high_water
            return
        self._ended.forget(before)
        self._trimmer.trim(before)
        self._trimmer.forget(before)
        self.room.measure()
        if self._relieve():
            self._trimmer.trim(before)
            self.room.measure()

    def _run(self) -> None:
        seconds = 0.0
        while True:
            factor = PAUSE_FACTOR_UNDER_PRESSURE if self.room.under_pressure else PAUSE_FACTOR
            self.room.wait_until_needed(max(self._interval_seconds, min(MAX_PAUSE_SECONDS, seconds * factor)))
            began = self._clock.monotonic()
            with self._failures.logged(NotOwner, JournalError):
                self.run_once()
            self.room.notify_publishers()
            seconds = self._clock.monotonic() - began
            gevent.sleep(min(self._interval_seconds, seconds))

    def _relieve(self) -> bool:
        """Let subscriptions over their quota give up events where a full journal is full of what is pending."""
        if not self.room.above_high_water or self._quota.quota >= self.room.limit:
            return False
        return self._quota.relieve(self.room.bytes, self.room.excess)

    def _expire_parked(self, before: float) -> None:
        """Make dead letters for subscribers that did not return to their kept positions within the retention."""
        for lane in list(self._dispatcher.lanes.values()):
            if lane.renewable and lane.ended_at is not None and lane.ended_at < before:
                log.info(
                    "the position kept for %s is given up, %d pending",
                    lane.subscriber.key,
                    lane.backlog,
                    extra={"address": lane.subscriber.key},
                )
                self._expiry.dead_letter(lane)
