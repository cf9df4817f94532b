"""Writes one batch, publishes, changes of the schedule and checkpoints, within a transaction of its caller."""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from eventbus.core.columns import numbered
from eventbus.core.model import Event, Message
from eventbus.core.records import Checkpoint
from eventbus.journal.base import Appended
from eventbus.journal.group_commit import NOT_PUBLISHED, CommitResult, Publish, PublishResult
from eventbus.journal.schedule import ChangeResult, Move, ScheduleChange
from eventbus.journal.sqlite import schedule, statements
from eventbus.journal.sqlite.idempotency_keys import KeyTotals, find_key, key_totals, remember_key


class Totals(NamedTuple):
    """What is known of the journal in memory: the newest number, its idempotency keys, and its scheduled events."""

    last_seq: int = 0
    keys: KeyTotals = KeyTotals()
    scheduled: int = 0


def read_totals(db: sqlite3.Connection, last_seq: int) -> Totals:
    """Count what is in the journal, whose newest number is given."""
    return Totals(last_seq, key_totals(db), schedule.count_scheduled(db))


def fits_one_statement(publishes: Sequence[Publish]) -> bool:
    """Return whether one INSERT keeps all of it."""
    if any(
        publish.idempotency_key is not None or publish.letters or publish.due_at is not None for publish in publishes
    ):
        return False
    return sum(len(publish.messages) for publish in publishes) <= statements.MAX_STATEMENT_EVENTS


def insert_events(db: sqlite3.Connection, publishes: Sequence[Publish], last_seq: int) -> CommitResult:
    """Write publishes that fit one statement: what most commits are. Raises sqlite3.Error."""
    messages = chain.from_iterable([publish.messages for publish in publishes])
    events = numbered(messages, last_seq + 1)
    statements.insert_events(db, events)
    return CommitResult(events, [Appended(publish.ids) for publish in publishes])


class BatchWriter:
    """One batch that is written, on top of the totals of the journal so far."""

    def __init__(self, db: sqlite3.Connection, totals: Totals) -> None:
        self._db = db
        self._last_seq, self._keys, self._waiting = totals.last_seq, totals.keys, totals.scheduled
        self._events: list[Event] = []
        self._scheduled: list[Message] = []

    @property
    def totals(self) -> Totals:
        """The totals with this batch."""
        return Totals(self._last_seq, self._keys, self._waiting)

    def write(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint], changes: Sequence[ScheduleChange]
    ) -> CommitResult:
        """Write all of it. Raises sqlite3.Error."""
        results = [self._publish(publish) for publish in publishes]
        statements.insert_events(self._db, self._events)
        published = len(self._events)
        changed = [self._change(change) for change in changes]
        for checkpoint in checkpoints:
            statements.save_checkpoint(self._db, checkpoint)
        moved = len(self._events) - published
        return CommitResult(self._events, results, changed=changed, scheduled=self._scheduled, moved=moved)

    def _publish(self, publish: Publish) -> PublishResult:
        key, messages = publish.idempotency_key, publish.messages
        known = find_key(self._db, key, publish.content) if key is not None else None
        if publish.letters and not statements.take_letters(self._db, publish.letters):
            known = NOT_PUBLISHED
        if known is not None:
            return known
        if publish.due_at is None:
            self._events += numbered(messages, self._last_seq + 1)
            self._last_seq += len(messages)
        else:
            schedule.insert_scheduled(self._db, messages, publish.due_at)
            self._scheduled += messages
            self._waiting += len(messages)
        ids = publish.ids
        if key is not None:
            self._keys = self._keys.plus(1, remember_key(self._db, key, ids, publish))
        return Appended(ids, due_at=publish.due_at)

    def _change(self, change: ScheduleChange) -> ChangeResult:
        if isinstance(change, Move):
            moved = schedule.move_due(self._db, change, self._last_seq + 1)
            self._events += moved
            self._last_seq += len(moved)
            self._waiting -= len(moved)
            return schedule.read_state(self._db, self._waiting)
        removed, cancelled_at = schedule.cancel(self._db, change)
        self._waiting -= removed
        return cancelled_at
