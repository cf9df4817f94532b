"""Reads from the journal what waits for the order keys of a lane: all of it once, and then key by key."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from eventbus.core.clock import Clock
from eventbus.core.records import Retry
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.retry_rows import deliveries_of, merge_unsaved
from eventbus.journal.base import Journal

#: Keys that are read at once.
MAX_KEYS = 50

log = logging.getLogger(__name__)

#: Rows that could not be saved yet; None stands for one that is removed.
Unsaved = Mapping[tuple[int, int], Retry | None]


class KeyReader:
    """Reads rows for lanes that are ordered by key."""

    def __init__(self, journal: Journal, checkpointer: Checkpointer, clock: Clock) -> None:
        self._journal = journal
        self._checkpointer = checkpointer
        self._clock = clock

    def read(self, lane: Lane, retries: KeyedRetries, unsaved: Unsaved) -> None:
        """Read what the lane has to know next. Raises JournalError."""
        if not retries.loaded:
            self._read_all(lane, retries, unsaved)
        elif retries.freed:
            self._read_freed(lane, retries, unsaved)
        else:
            self._read_due(lane, retries, unsaved)

    def _read_all(self, lane: Lane, retries: KeyedRetries, unsaved: Unsaved) -> None:
        """Read all rows by sequence number, so that it is known which keys are busy."""
        retries.begin_reading()
        after, limit, more = (-1, 0), lane.limits.retry_rows, True
        while more:
            found = self._journal.retries(lane.subscriber.key, by_seq=True, limit=limit, after=after)
            if lane.retries is not retries:
                return  # the lane is not ordered by key any more
            more = len(found) == limit
            rows = _merged(found, {row: kept for row, kept in unsaved.items() if row > after}, by_seq=True, more=more)
            known = self._with_keys(rows)
            for row, former, delivery in zip(known, rows, self._deliveries(lane, known), strict=True):
                retries.admit(delivery, blocked=row.blocked, known=former.order_key is not None)
            if more:
                after = found[-1].seq, found[-1].replay_id
                self._checkpointer.save_lanes([lane])
        if lane.retries is retries:
            retries.end_reading()

    def _read_freed(self, lane: Lane, retries: KeyedRetries, unsaved: Unsaved) -> None:
        """Read the next rows of keys whose last delivery in memory is settled."""
        retries.begin_keys()
        try:
            for order_key in [*retries.freed][:MAX_KEYS]:
                if lane.retries is not retries or order_key not in retries.freed:
                    return
                self._read_key(lane, retries, order_key, unsaved)
        finally:
            retries.end_keys()

    def _read_key(self, lane: Lane, retries: KeyedRetries, order_key: str, unsaved: Unsaved) -> None:
        limit = lane.limits.key_rows
        found = self._journal.retries_of_key(lane.subscriber.key, order_key, limit)
        if lane.retries is not retries or order_key not in retries.freed:
            return
        mine = {row: kept for row, kept in unsaved.items() if kept is None or kept.order_key == order_key}
        rows = _merged(found, mine, by_seq=True, more=len(found) == limit)
        if missing := retries.load_key(order_key, self._deliveries(lane, rows)):
            lane.count_missing(missing)
            log.error(
                "%d deliveries to %s that waited for an order key are not in the journal any more",
                missing, lane.subscriber.key, extra={"address": lane.subscriber.key},
            )  # fmt: skip

    def _read_due(self, lane: Lane, retries: KeyedRetries, unsaved: Unsaved) -> None:
        """Read retries without a key, and dead letters that were put back, by their due time."""
        limit = lane.limits.retry_rows + len(retries.queues) + len(unsaved)
        retries.begin_load()
        try:
            found = self._journal.retries(lane.subscriber.key, by_seq=False, limit=limit)
            more = len(found) == limit and not found[-1].blocked
            rows = _merged(found, unsaved, by_seq=False, more=more)
            known = self._with_keys([row for row in rows if not row.blocked])
        except BaseException:
            retries.expect_rows()
            raise
        if lane.retries is retries:
            retries.load(self._deliveries(lane, known), lane.in_flight, more=more)

    def _with_keys(self, rows: list[Retry]) -> list[Retry]:
        """Return the rows with their order keys, which the journal knows where they do not."""
        unknown = [row.seq for row in rows if row.order_key is None]
        names = self._journal.names(unknown) if unknown else {}
        return [
            replace(row, order_key=names[row.seq].order_key if row.seq in names else "")
            if row.order_key is None
            else row
            for row in rows
        ]

    def _deliveries(self, lane: Lane, rows: list[Retry]) -> list[Delivery]:
        return deliveries_of(rows, self._clock.monotonic(), self._clock.wall(), lane.subscriber.options.backoff[1])


def _merged(found: list[Retry], unsaved: Unsaved, *, by_seq: bool, more: bool) -> list[Retry]:
    return merge_unsaved(found, unsaved, by_seq=by_seq, more=more) if unsaved else found
