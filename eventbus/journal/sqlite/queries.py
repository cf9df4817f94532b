"""The queries of a SQLite journal. Each is bounded, since commits wait behind it on the same thread."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import Event
from eventbus.core.override import override
from eventbus.core.records import DeadLetter, FailedDelivery, LaneRecord, Past, Recovered, Retry
from eventbus.core.schedule import DuePosition, ScheduledEvent
from eventbus.journal.base import FIRST_ROW, EventName, JournalQueries, KeptDeadLetter, Page, Redelivery, Row
from eventbus.journal.lane_json import from_json
from eventbus.journal.sqlite.pages import EVENT_COLUMNS, read_body_sizes, read_page, read_sizes, read_topics
from eventbus.journal.sqlite.schedule import cancelled_at, read_one, read_scheduled
from eventbus.journal.sqlite.statements import RETRY_COLUMNS

_LETTER = (
    "d.id, d.key, d.seq, d.run, d.reason, d.attempts, d.first_at, d.last_at, d.status, d.error, d.answer,"
    " d.event_id, d.topic, d.order_key, d.dead_to, coalesce(e.id, ''), e.topic, coalesce(e.order_key, '')"
    " FROM dead_letters d LEFT JOIN events e ON e.seq = d.seq"
)
#: Closed lanes. The index on lanes is used for an equation alone: ``NOT open`` reads and sorts all records.
_CLOSED = "open = 0"
#: One of the numbers in a JSON array that is bound.
_LISTED = "IN (SELECT value FROM json_each(?))"
#: Bytes that an event takes in the journal beside its body and headers, and a dead letter beside its answer, about.
EVENT_OVERHEAD, LETTER_OVERHEAD = 250, 300
#: Bytes of events that are trimmed in one part.
TRIM_BYTES = 1_048_576
#: Rows that are read of one event, and of a sample, at most.
MAX_DELIVERIES, MAX_SAMPLED_ROWS = 20_000, 100_000


class SqliteQueries(JournalQueries):
    """Reads on a connection. Raises sqlite3.Error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def recovered(self, remarks: tuple[str, ...]) -> Recovered:
        """Return what a bus starts from."""
        scanned = self._number("SELECT seq FROM places WHERE name = 'scanned'")
        newest = self._number("SELECT coalesce(max(seq), 0) FROM events")
        last = max(newest, self._number("SELECT coalesce(max(seq), 0) FROM places"))
        waiting = self._db.execute("SELECT key, count(*) FROM deferred GROUP BY key").fetchall()
        lanes = self._records("SELECT record FROM lanes WHERE open ORDER BY key")
        return Recovered(last, scanned, tuple(lanes), dict(waiting), remarks)

    def trim_parts(self, seqs: Sequence[int], limit: int) -> list[list[int]]:
        """Return the events that exist, in parts of so many and of ``TRIM_BYTES``: a trim reads all their pages."""
        parts: list[list[int]] = [[]]
        size = 0
        for seq, length in read_body_sizes(self._db, seqs):
            if len(parts[-1]) >= limit or (size + length > TRIM_BYTES and parts[-1]):
                parts.append([])
                size = 0
            parts[-1].append(seq)
            size += length
        return parts

    @override
    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        return read_page(self._db, after, end, limit, max_bytes)

    @override
    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        return read_topics(self._db, after, end, limit)

    @override
    def sizes(self, after: int, end: int, limit: int) -> list[tuple[int, int]]:
        return [(seq, size + EVENT_OVERHEAD) for seq, size in read_sizes(self._db, after, end, limit)]

    @override
    def find(self, seqs: Sequence[int]) -> list[Event]:
        sql = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq {_LISTED} ORDER BY seq"
        return [Event._make(row) for row in self._db.execute(sql, (json.dumps(seqs),))]

    @override
    def event(self, event_id: str) -> Event | None:
        row = self._row(f"SELECT {EVENT_COLUMNS} FROM events WHERE id = ? ORDER BY seq DESC LIMIT 1", event_id)
        return None if row is None else Event._make(row)

    @override
    def position_at(self, moment: float) -> int:
        # A binary search: times rise with sequence numbers, but for steps of the clock.
        low, high = self._db.execute("SELECT coalesce(min(seq), 1) - 1, coalesce(max(seq), 0) FROM events").fetchone()
        while low < high:
            middle = (low + high + 1) // 2
            row = self._row("SELECT seq, at FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1", middle)
            if row is None or row[1] < moment:
                low = middle
            else:
                high = row[0] - 1
        return int(low)

    @override
    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        numbers = (json.dumps(seqs),)
        sql = f"SELECT seq, topic, length(head) + length(body) + {EVENT_OVERHEAD} FROM events WHERE seq {_LISTED}"
        events = self._db.execute(sql, numbers).fetchall()
        waiting, dead = defaultdict(list), defaultdict(list)
        sql = f"SELECT seq, key FROM deferred WHERE seq {_LISTED} LIMIT {MAX_SAMPLED_ROWS}"
        for seq, key in self._db.execute(sql, numbers):
            waiting[seq].append(key)
        sql = (
            f"SELECT seq, key, length(answer) + {LETTER_OVERHEAD} FROM dead_letters"
            f" WHERE seq {_LISTED} AND event_id = '' LIMIT {MAX_SAMPLED_ROWS}"
        )
        for seq, key, size in self._db.execute(sql, numbers):
            dead[seq].append((key, size))
        return [SampledEvent(seq, topic, size, tuple(waiting[seq]), tuple(dead[seq])) for seq, topic, size in events]

    @override
    def names(self, seqs: Sequence[int]) -> dict[int, EventName]:
        rows = self._db.execute(f"SELECT seq, id, order_key FROM events WHERE seq {_LISTED}", (json.dumps(seqs),))
        return {seq: EventName(event_id, order_key) for seq, event_id, order_key in rows}

    @override
    def retries(self, key: str, *, by_seq: bool, limit: int, after: Row = FIRST_ROW) -> list[Retry]:
        if not by_seq:
            return self._retries("key = ? ORDER BY due_at LIMIT ?", key, limit)
        return self._retries("key = ? AND (seq, run) > (?, ?) ORDER BY seq, run LIMIT ?", key, *after, limit)

    @override
    def retries_of_key(self, key: str, order_key: str, limit: int) -> list[Retry]:
        return self._retries("key = ? AND order_key = ? ORDER BY seq, run LIMIT ?", key, order_key, limit)

    @override
    def retries_of_event(self, seq: int) -> list[Retry]:
        return self._retries(f"seq = ? LIMIT {MAX_DELIVERIES}", seq)

    @override
    def lane(self, key: str) -> LaneRecord | None:
        return next(iter(self._records("SELECT record FROM lanes WHERE key = ?", key)), None)

    @override
    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        sql = f"SELECT record FROM lanes WHERE {_CLOSED} AND ended_at < ? ORDER BY ended_at LIMIT ?"
        return self._records(sql, before, limit)

    @override
    def closed_size(self) -> tuple[int, int]:
        count = self._number(f"SELECT count(*) FROM lanes WHERE {_CLOSED}")
        newest = f"SELECT record FROM lanes WHERE {_CLOSED} ORDER BY ended_at DESC LIMIT 100"
        (average,) = self._db.execute(f"SELECT avg(length(record)) FROM ({newest})").fetchone()
        return count, int(count * (average or 0))

    @override
    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        sql = f"SELECT record FROM lanes WHERE {_CLOSED} ORDER BY ended_at DESC, key DESC LIMIT ? OFFSET ?"
        return self._records(sql, limit, skip)

    @override
    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        if key is None:
            return self._letters("d.id > ? ORDER BY d.id LIMIT ?", after, limit)
        return self._letters("d.key = ? AND d.id > ? ORDER BY d.id LIMIT ?", key, after, limit)

    @override
    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        return next(iter(self._letters("d.id = ?", letter_id)), None)

    @override
    def last_dead_letter(self) -> int:
        return self._number("SELECT coalesce(max(id), 0) FROM dead_letters")

    @override
    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        return self._letters("d.last_at < ? ORDER BY d.last_at LIMIT ?", moment, limit)

    @override
    def unpublished_letters(self, limit: int) -> list[KeptDeadLetter]:
        next_topic = "(SELECT min(dead_to) FROM dead_letters WHERE dead_to > '')"
        return self._letters(f"d.dead_to = {next_topic} ORDER BY d.id LIMIT ?", limit)

    @override
    def scheduled(self, after: DuePosition, limit: int, max_bytes: int) -> list[ScheduledEvent]:
        return read_scheduled(self._db, after, limit, max_bytes)

    @override
    def scheduled_event(self, event_id: str) -> ScheduledEvent | None:
        return read_one(self._db, event_id)

    @override
    def cancelled_at(self, event_id: str) -> float | None:
        return cancelled_at(self._db, event_id)

    @override
    def failed_deliveries(self, seq: int) -> list[FailedDelivery]:
        sql = (
            "SELECT key, 'dead', attempts, status, error FROM dead_letters WHERE seq = ?1 UNION ALL"
            " SELECT key, 'discarded', 0, NULL, '' FROM discards WHERE first <= ?1 AND last >= ?1"
            f" LIMIT {MAX_DELIVERIES}"
        )
        return [FailedDelivery(*row) for row in self._db.execute(sql, (seq,))]

    @override
    def replay(self, replay_id: str) -> Redelivery | None:
        columns = "id, at, replayed, delivered, dead, discarded, filtered"
        row = self._row(f"SELECT {columns} FROM replays WHERE id = ?", replay_id)
        return None if row is None else Redelivery(*row)

    def usage(self) -> tuple[int, int]:
        """Return the bytes of pages in use, and the events from the first sequence number to the last."""
        size, pages, free = (self._number(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count"))
        events = "SELECT coalesce((SELECT max(seq) FROM events) - (SELECT min(seq) FROM events) + 1, 0)"
        return size * (pages - free), self._number(events)

    def _number(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])

    def _row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        return row

    def _records(self, sql: str, *values: object) -> list[LaneRecord]:
        return [from_json(text) for (text,) in self._db.execute(sql, values)]

    def _retries(self, condition: str, *values: object) -> list[Retry]:
        rows = self._db.execute(f"SELECT {RETRY_COLUMNS} FROM deferred WHERE {condition}", values)
        return [retry_of(row) for row in rows]

    def _letters(self, condition: str, *values: object) -> list[KeptDeadLetter]:
        rows = self._db.execute(f"SELECT {_LETTER} WHERE {condition}", values)
        return [_letter_of(*row) for row in rows]


def retry_of(row: tuple[Any, ...]) -> Retry:
    """Return a retry from the columns of its row."""
    *columns, replay, attempts, first_at, order_key, expires = row
    past = None if attempts is None else Past(replay, attempts, first_at, bool(expires))
    return Retry(*(*columns, past, order_key))


def _letter_of(letter_id: int, *columns: Any) -> KeptDeadLetter:
    *own, event_id, topic, order_key = columns
    letter = DeadLetter(*own)
    if letter.event_id:  # it has given up its event's body, and keeps the names itself
        event_id, topic, order_key = letter.event_id, letter.topic, letter.order_key
    return KeptDeadLetter(letter_id, letter, event_id, topic, order_key)
