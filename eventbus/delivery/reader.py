"""The reader: reads pages of events for lanes, and retries that were spilled."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError
from eventbus.core.model import Event
from eventbus.core.records import Retry
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.key_reader import KeyReader
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.ranges import Range
from eventbus.delivery.lane.retry_rows import deliveries_of, merge_unsaved
from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.shared_pages import SharedPages
from eventbus.journal.base import Journal

#: Seconds until a delivery is attempted again whose event could not be read.
UNREAD_RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class LaneReader:
    """Fills lanes from the recent events in memory where they reach back far enough, else from the journal."""

    def __init__(self, journal: Journal, recent: RecentEvents, checkpointer: Checkpointer, clock: Clock) -> None:
        self._journal = journal
        self.recent = recent  #: the events in memory
        self._checkpointer = checkpointer
        self.pages = SharedPages(journal, recent)  #: read once for whoever is at the same position
        self._keys = KeyReader(journal, checkpointer, clock)
        self._clock = clock
        self._reading: set[Lane] = set()
        self._waiting: set[Lane] = set()  # for which the journal could not be read

    def note_failure(self, lane: Lane, error: JournalError) -> None:
        """Note that the journal could not be read for a lane; log the first one."""
        if not self._waiting:
            log.warning("events cannot be read from the journal, and their deliveries wait: %s", error)
        self._waiting.add(lane)

    def note_success(self, lane: Lane) -> None:
        """Note that the journal was read for a lane; log it once no lane waits any more."""
        if lane in self._waiting:
            self._waiting.remove(lane)
            if not self._waiting:
                log.info("events are read from the journal again")

    def forget(self, lane: Lane) -> None:
        """Drop what is noted about a lane."""
        self._waiting.discard(lane)

    def is_reading(self, lane: Lane) -> bool:
        """Return whether the journal is being read for a lane."""
        return lane in self._reading

    @contextmanager
    def reading(self, lane: Lane) -> Iterator[None]:
        """Let nobody else read for a lane while the block runs."""
        self._reading.add(lane)
        try:
            yield
        finally:
            self._reading.discard(lane)

    def fetch(self, lane: Lane, delivery: Delivery) -> Event | None:
        """Read the event of a delivery, and some for the same batch. Return None, and discard it, if it is gone.

        Raises JournalError, and then the delivery waits for a while. Others that wait for the event find it in memory
        then: thousands of attempts at it share one body.
        """
        try:
            event = self.read_event(lane, delivery.seq, delivery)
        except JournalError:
            lane.release(delivery, self._clock.monotonic() + UNREAD_RETRY_SECONDS)  # others may be in memory
            raise
        for part in lane.ranges():
            if part.buffered and self.recent.get(part.buffered[0]) is None:
                part.shrink()  # the others have left memory, too: a page of them costs as much as this one
        if event is not None:
            return event
        lane.drop_missing(delivery)
        key = lane.subscriber.key
        log.error("event %d for %s is not in the journal any more", delivery.seq, key, extra={"address": key})
        return None

    def read_event(self, lane: Lane, seq: int, first: Delivery | None = None) -> Event | None:
        """Read an event for a lane, and some that may be next, or go along with the ``first`` of a batch.

        Return None if it is gone. Raises JournalError.
        """
        epoch = self.recent.epoch
        found = self._journal.find([seq, *lane.upcoming(first)])
        self.note_success(lane)
        event = next((each for each in found if each.seq == seq), None)
        if event is not None and self.recent.epoch == epoch:
            self.recent.add_page(found)
            return self.recent.get(seq) or event
        return event

    def read(self, lane: Lane) -> None:
        """Read one page for a lane; other greenlets may take from it meanwhile."""
        with self.reading(lane):
            if lane.retries.wants_rows(self._clock.monotonic()):
                unsaved = self._unsaved(lane)
                if isinstance(lane.retries, KeyedRetries):
                    self._keys.read(lane, lane.retries, unsaved)
                else:
                    self._load(lane, unsaved)
            if (part := lane.unread()) is not None:
                self._read_range(lane, part)
            self.note_success(lane)

    def read_retries(self, lane: Lane) -> None:
        """Read the first of the spilled retries. Raises JournalError, also where saving fails."""
        lane.touch()
        self._checkpointer.save_lanes([lane])
        self._load(lane, {})

    def _unsaved(self, lane: Lane) -> dict[tuple[int, int], Retry | None]:
        """Save the lane; if that fails, return the rows as they should be in the journal.

        So deliveries go on while nothing can be saved, as on a full disk. Raises JournalError if there are too many.
        """
        lane.touch()
        transaction = self._checkpointer.optimistic_transaction()
        try:
            self._checkpointer.save_lanes([lane])
        except JournalError:
            unsaved = self._checkpointer.unsaved_rows(lane)
            if len(unsaved) > lane.limits.unsaved_rows or transaction.stale:
                raise
            return unsaved
        return {}

    def _load(self, lane: Lane, unsaved: Mapping[tuple[int, int], Retry | None]) -> None:
        retries = lane.retries
        retries.begin_load()
        by_seq, limit = lane.subscriber.options.one_at_a_time, lane.limits.retry_rows + len(unsaved)
        try:
            found = self._journal.retries(lane.subscriber.key, by_seq=by_seq, limit=limit)
        except JournalError:
            retries.expect_rows()
            raise
        if lane.retries is not retries:
            return  # the lane is ordered in another way now, and reads again
        more = len(found) == limit
        rows = merge_unsaved(found, unsaved, by_seq=by_seq, more=more) if unsaved else found
        deliveries = deliveries_of(
            rows, self._clock.monotonic(), self._clock.wall(), lane.subscriber.options.backoff[1]
        )
        retries.load(deliveries, lane.in_flight, more=more)

    def _read_range(self, lane: Lane, part: Range) -> None:
        end, began = self.recent.newest if part.end is None else part.end, part.cursor
        limits = lane.limits
        limit = limits.buffered_events - limits.low_water
        if lane.held:
            limit = min(limit, limits.probe_events)
        tail = self.recent.tail_after(part.cursor, limit)
        if tail is not None:
            events, cursor = tail, min(end, part.cursor + limit)
        else:
            page = self.pages.page(part.cursor, end, min(limit, limits.page_events), limits.page_bytes)
            events, cursor = list(page.events), page.cursor
        if lane.closed or part.cursor != began or part not in lane.ranges():
            return  # it was ended, sent back, or replaced while the page was read
        if events and events[-1].seq <= end and lane.covers_all(part):
            mine = events
        else:
            mine = [event for event in events if event.seq <= end and lane.covers(part, event.seq, event.topic)]
        if tail is None:
            self.recent.add_page(mine)
        part.load_events(mine, cursor)
        if cursor >= end and part.remaining and (part.end is not None or end == self.recent.newest):
            lost = lane.drop_remaining(part)
            log.error(
                "%d pending events for %s are not in the journal any more",
                lost,
                lane.subscriber.key,
                extra={"address": lane.subscriber.key},
            )
