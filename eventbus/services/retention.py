"""Lets go of what is settled: after the retention, or early when the journal nears a limit; the oldest first."""

import logging
from collections.abc import Sequence

import gevent
from gevent.event import Event as Signal

from eventbus.core.errors import BacklogFull, JournalError, NotOwner
from eventbus.core.log_once import LogOnce
from eventbus.core.settings import Settings
from eventbus.delivery.held_events import HeldEvents
from eventbus.delivery.lane.remote_lane import RemoteLane, floor_of
from eventbus.services.dead_letters import DeadLetters
from eventbus.services.ended_records import EndedRecords
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.node import Node
from eventbus.services.quota_enforcer import QuotaEnforcer

#: Seconds between two looks, at least.
INTERVAL = 1.0
#: A look waits this many times as long as the last one took, so that it costs a bounded share.
PATIENCE = 10
#: The same while there is no room: whoever publishes waits for it.
PRESSED_PATIENCE = 2
#: Events that are looked at in one step.
PAGE = 1_000
#: Part of the limit, or of the memory of the journal's server, past which settled events go early; and the part of the
#: limit to which they are brought back.
HIGH, LOW = 0.9, 0.8
#: Bytes that an event takes in the journal beside its body and headers, about.
OVERHEAD = 250
#: Seconds that a publish waits for settled events to go, before it is refused.
ROOM_SECONDS = 3.0
#: Parts of the limit that idempotency keys may take together, and the records of ended registrations.
KEYS_SHARE, ENDED_SHARE = 1 / 8, 1 / 16

log = logging.getLogger(__name__)


class Retention:
    """A greenlet that walks the journal from its oldest event; what is pending anywhere stays."""

    def __init__(
        self, node: Node, settings: Settings, expiry: LeaseExpiry, letters: DeadLetters, quota: QuotaEnforcer
    ) -> None:
        self._limit = settings.journal_max_bytes
        self._seconds = settings.retention_seconds
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._clock = node.clock
        self._cluster = node.cluster
        self._expiry = expiry
        self._letters = letters
        self._quota = quota
        self._was_full = False  # at the end of the last run
        self._ended = EndedRecords(node, int(ENDED_SHARE * self._limit))
        self._hurry = Signal()
        self._looked = Signal()
        self._full = False
        self._scarce = False  # the journal's server has hardly any memory left
        self._log_once, self._shortage = LogOnce(), LogOnce()
        self._foreign: list[RemoteLane] | None = None
        self._moves = 0  # how often lanes have moved between nodes
        self.bytes = 0  # in use, as far as is known
        self._room = self._limit  # bytes that it may hold: less than its limit where the disk is full

    def start(self) -> None:
        """Measure, and begin to let go."""
        self._measure()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Let go of nothing more."""
        self._greenlet.kill()

    def lanes_moved(self) -> None:
        """Read the peers' lanes again before anything is removed: some have got lanes of this node."""
        self._moves += 1
        self._foreign = None

    def make_room(self, size: int) -> None:
        """Count what is about to be kept. Raises BacklogFull at the limit, where nothing is removed in time."""
        if self.bytes + size > HIGH * self._room:
            self._hurry.set()
        if self.bytes + size > self._limit and not self._full:
            self._looked.clear()
            self._looked.wait(ROOM_SECONDS)
        if self.bytes + size > self._limit:
            if not self._full:
                log.warning(
                    "the journal is full; publishing is refused until pending events are settled or settled ones go"
                )
            self._full = True
            raise BacklogFull(
                f"The journal holds {self._limit} bytes of events that are pending, or not removed yet;"
                " publish again later."
            )
        self.bytes += size

    def _run(self) -> None:
        took = 0.0
        while True:
            self._hurry.wait(max(INTERVAL, min(60.0, took * (PRESSED_PATIENCE if self._pressed else PATIENCE))))
            self._hurry.clear()
            began = self._clock.monotonic()
            try:
                self.run_once()
            except (NotOwner, JournalError) as error:
                if self._log_once.raised():
                    log.warning("settled events are not removed: %s", error)
            else:
                if self._log_once.cleared():
                    log.info("settled events are removed again")
            self._looked.set()
            took = self._clock.monotonic() - began
            gevent.sleep(min(INTERVAL, took))

    def run_once(self) -> None:
        """Let go of what may go now."""
        self._measure()
        before = self._clock.wall() - self._seconds
        self._quota.log_given_up()
        self._end_parked(before)
        while self._letters.expire(before):
            gevent.sleep(0)
        if not self._cluster.try_acquire_trimmer():
            if self._was_full:
                self._relieve()
            self._was_full = self.bytes > HIGH * self._limit
            return
        self._foreign = None
        self._ended.forget(before)
        self._walk(before)
        self._remove((), before)  # what is remembered of other things
        self._measure()
        if self._relieve():
            self._foreign = None
            self._walk(before)
            self._measure()

    def _relieve(self) -> bool:
        """Where the journal is full of what is needed, let those give up something that need more than their quota."""
        if self.bytes <= HIGH * self._limit or self._quota.quota >= self._limit:
            return False
        return self._quota.relieve(self.bytes, int(self.bytes - LOW * self._limit))

    def _measure(self) -> None:
        usage = self._journal.usage()
        self.bytes, self._scarce = usage.bytes, usage.memory > HIGH
        self._room = self._limit if usage.max_bytes is None else min(self._limit, usage.max_bytes)
        self._tell_memory(usage.memory)
        if self._full and self.bytes < self._limit:
            log.info("the journal has room again")
            self._full = False

    @property
    def _pressed(self) -> bool:
        """Whether settled events have to go early."""
        return self._scarce or self.bytes > HIGH * self._room

    def _tell_memory(self, memory: float) -> None:
        """One line when the server's memory becomes scarce, and one when it no longer is."""
        if self._scarce and self._shortage.raised():
            log.warning(
                "the journal's server uses %d percent of its maxmemory: settled events go early, and"
                " past 100 publishing is refused",
                100 * memory,
            )
        elif not self._scarce and self._shortage.cleared():
            log.info("the journal's server has memory again")

    def _walk(self, before: float) -> None:
        """From the oldest event on, as far as events are too old, or there are too many of them."""
        cursor, scanned = 0, self._dispatcher.recent.newest
        goal = int(LOW * self._room) if self.bytes > HIGH * self._room else None
        moves = self._moves
        while rows := self._journal.topics(cursor, scanned, PAGE):
            pressed = self._scarce or (goal is not None and self.bytes > goal)
            old = rows if pressed else [row for row in rows if row[2] < before]
            self._trim([(seq, topic) for seq, topic, _ in old], before, moves)
            if pressed:
                self._measure()
            if len(old) < len(rows):
                break
            cursor, moves = rows[-1][0], self._moves

    def _trim(self, events: Sequence[tuple[int, str | None]], before: float, moves: int) -> None:
        """Remove those that are settled, unless lanes have moved since they were read; no replay begins meanwhile."""
        with self._dispatcher.checkpointer.transaction():
            settled = self._settled(events)
            if moves != self._moves:  # some lanes were perhaps not looked at: the next look does it
                self._foreign = None
            elif settled:
                self._dispatcher.recent.forget(settled[-1])
                self._remove(settled, before)

    def _remove(self, settled: Sequence[int], before: float) -> None:
        self._journal.trim(settled, before, int(KEYS_SHARE * self._limit))

    def _settled(self, events: Sequence[tuple[int, str | None]]) -> list[int]:
        """The events that no lane still has to deliver."""
        if not events:
            return []
        if self._foreign is None:
            self._foreign = [RemoteLane(record) for record in self._cluster.records()]
        self._dispatcher.checkpointer.save()
        here, held = (
            (*self._dispatcher.lanes.values(), *self._dispatcher.registry.announced.values()),
            self._dispatcher.registry.held,
        )
        mine = [lane for lane in here if lane.backlog or lane.dead_letters]
        floors = (*map(floor_of, mine), *(lane.floor for lane in self._foreign), *(part.after + 1 for part in held))
        floor = min(floors, default=None)
        if floor is None or events[-1][0] < floor:
            return [seq for seq, _ in events]
        load = self._dispatcher.load
        give_way = load.give_way_urgently if self._pressed else load.give_way  # where publishers wait for room
        holders: tuple[HeldEvents | RemoteLane, ...] = (HeldEvents(mine, give_way), *self._foreign)
        settled: list[int] = []
        for seq, topic in events:
            if seq >= floor:
                give_way()
                if any(each.holds(seq, topic) for each in holders) or any(part.covers(seq, topic) for part in held):
                    continue
            settled.append(seq)
        return settled

    def _end_parked(self, before: float) -> None:
        """Kept places whose subscribers did not come back within the retention."""
        for lane in list(self._dispatcher.lanes.values()):
            if lane.renewable and lane.ended_at is not None and lane.ended_at < before:
                log.info(
                    "the place kept for %s is given up, %d pending",
                    lane.subscriber.key,
                    lane.backlog,
                    extra={"address": lane.subscriber.key},
                )
                self._expiry.dead_letter(lane)
