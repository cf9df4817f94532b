"""Removes the records of ended registrations: after the retention, or early where they take too much room."""

import logging
import math

import gevent

from eventbus.core.log_once import LogOnce
from eventbus.core.records import Checkpoint, LaneRecord
from eventbus.delivery.decision import Decision
from eventbus.delivery.transaction import Transaction
from eventbus.services.node import Node

#: Records that are removed in one step, and those that are read to find some that may be.
PAGE_RECORDS, MAX_READ_RECORDS = 500, 8_000
#: Steps in one run at most, and the part of the room to which records are brought back.
MAX_STEPS, LOW_WATER = 10, 0.75

log = logging.getLogger(__name__)


class EndedRecords:
    """Keeps what ended registrations leave in the journal within ``max_bytes``. Those with dead letters stay."""

    def __init__(self, node: Node, max_bytes: int) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._max_bytes = max_bytes
        self._crowded = LogOnce()

    def forget(self, before: float) -> None:
        """Remove those that ended before a moment, and the oldest of all where they take too much room."""
        transaction = self._dispatcher.checkpointer.optimistic_transaction()
        self._forget(self._journal.closed_lanes(before, PAGE_RECORDS), transaction)
        for _ in range(MAX_STEPS):
            count, size = self._journal.closed_size()
            crowded = size > self._max_bytes
            if crowded and self._crowded.raised():
                log.warning("%d ended registrations take about %d bytes: the oldest are forgotten", count, size)
            if 2 * size < self._max_bytes and self._crowded.cleared():
                log.info("ended registrations take no more than their part of the journal again")
            if not crowded:
                return
            oldest = self._oldest()[: count - int(count * LOW_WATER * self._max_bytes / size)]
            if not self._forget(oldest, transaction):
                return
            gevent.sleep(0)

    def _oldest(self) -> list[LaneRecord]:
        """Return some of the oldest that may go."""
        limit = PAGE_RECORDS
        while True:
            read = self._journal.closed_lanes(math.inf, limit)
            found = [record for record in read if not record.account.dead]
            if found or len(read) < limit or limit >= MAX_READ_RECORDS:
                return found[:PAGE_RECORDS]
            limit *= 4

    def _forget(self, old: list[LaneRecord], transaction: Transaction) -> int:
        """Remove records of subscribers of which nothing else is left; return how many."""
        checkpointer, lanes = self._dispatcher.checkpointer, self._dispatcher.lanes
        with checkpointer.transaction():  # an address that has registered since has another record by now
            keys = [record.subscriber.key for record in old if not record.account.dead]
            gone = tuple(key for key in keys if key not in lanes)
            if not gone:
                return 0
            forget = Checkpoint(self._dispatcher.clock.wall(), self._dispatcher.recent.newest, forgotten=gone)
            transaction.decide(Decision(lambda: forget, lambda: None))
        return len(gone)
