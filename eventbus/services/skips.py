"""Skips: an operator makes the pending deliveries of one event to one subscription dead letters."""

import logging
from dataclasses import dataclass

import gevent

from eventbus.core.errors import NotFound
from eventbus.core.model import Event
from eventbus.core.records import Checkpoint
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.retry_rows import deliveries_of
from eventbus.delivery.lane.skips import Found, letters_of, settle, skipped_record, take_out, waits_behind_key
from eventbus.services.node import Node
from eventbus.services.registered_lane import check_owned, registered_lane

#: Seconds between two looks at whether the journal is still being read for a lane.
POLL_SECONDS = 0.005

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Skipped:
    """How many deliveries are dead letters, and how many will be unless the attempt in flight succeeds."""

    dead: int
    in_flight: int


class Skips:
    """Skips events, one at a time for each subscription."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._checkpointer = node.dispatcher.checkpointer
        self._journal = node.journal
        self._clock = node.clock

    def skip(self, key: str, event_id: str) -> Skipped:
        """Skip what is pending of an event; it is saved when this returns.

        Raises NotFound where nothing is, Conflict where the subscription is not registered, TooMany, NotOwner and
        JournalError; then nothing has changed.
        """
        lane = registered_lane(self._node, key, "skip")
        event = self._journal.event(event_id)
        if event is None or event.seq > self._dispatcher.recent.newest:
            raise NotFound(f"Event {event_id[:80]!r} is not in the journal.")
        with self._node.locks.hold(key):
            found = self._skip(lane, event)
            if not found:
                raise NotFound(f"Event {event_id[:80]!r} is not pending for {lane.subscriber.text}.")
            dead = len(found.waiting)
            failed_meanwhile = [one for one in found.in_flight if one not in lane.in_flight and one.skipped is None]
            if failed_meanwhile:  # or delivered
                dead += len(self._skip(lane, event).waiting)
        self._journal.wait_durable()
        skipped = Skipped(dead, sum(delivery in lane.in_flight for delivery in found.in_flight))
        message = "event %s for %s was skipped by an operator: %d dead letters, %d in flight"
        log.info(message, event.id, key, skipped.dead, skipped.in_flight, extra={"address": key})
        return skipped

    def _skip(self, lane: Lane, event: Event) -> Found:
        """Take out what waits, and save it as dead letters; let it wait again where that fails."""
        reader = self._dispatcher.reader
        while reader.is_reading(lane):
            gevent.sleep(POLL_SECONDS)
        try:
            with reader.reading(lane):  # else what was taken out might be read again
                found = self._take_out(lane, event)
                if found:
                    self._save_or_release(lane, found)
        finally:
            self._dispatcher.schedule(lane)
        return found

    def _save_or_release(self, lane: Lane, found: Found) -> None:
        try:
            self._checkpointer.save_lanes([lane])  # so that no row of these is saved after they are settled
            self._save(lane, found)
        except BaseException:
            for delivery in found.waiting:
                if delivery in lane.in_flight:  # else it is settled, though nobody knows whether that is saved
                    lane.release_withheld(delivery, self._clock.monotonic())
            raise

    def _take_out(self, lane: Lane, event: Event) -> Found:
        while True:
            check_owned(self._node, lane)
            if waits_behind_key(lane, event):
                lane.retries.unload(lane.in_flight)
            lane.touch()
            self._checkpointer.save_lanes([lane])
            found = self._take_out_now(lane, event)
            if found or not any(seq == event.seq for seq, _ in lane.retries.unsaved_rows):
                return found  # else it began to wait while the rows were read

    def _take_out_now(self, lane: Lane, event: Event) -> Found:
        retries = lane.retries
        retries.begin_load()
        try:
            rows = self._journal.retries_of_event(event.seq)
            check_owned(self._node, lane)
            mine = [row for row in rows if row.key == lane.subscriber.key]
            return take_out(lane, event, deliveries_of(mine, self._clock.monotonic(), self._clock.wall()))
        except BaseException:
            retries.expect_rows()
            raise

    def _save(self, lane: Lane, found: Found) -> None:
        key = lane.subscriber.key

        def change() -> Checkpoint:
            check_owned(self._node, lane)
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            return Checkpoint(
                wall,
                newest,
                lanes=(skipped_record(lane, found, newest, now, wall),),
                settled_retries=tuple((key, one.seq, one.replay_id) for one in found.waiting if one.kept),
                dead=letters_of(lane, found.waiting, now, wall),
            )

        def happen() -> None:
            settle(lane, found, self._clock.monotonic(), self._clock.wall())

        self._checkpointer.decide(Decision(change, happen, [lane], [key]))
