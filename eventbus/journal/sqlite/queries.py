"""The SQL that reads. Every query is bounded, since commits wait behind it on the same thread."""

import json
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from operator import add
from typing import Any

from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import DeadLetter, Event, LaneRecord, Past, Recovered, Retry
from eventbus.journal.base import KeptDeadLetter, Page, Redelivery
from eventbus.journal.lane_json import from_json

_EVENT = "seq, id, topic, head, body, at"
_DEFERRAL = "key, seq, run, attempts, first_at, due_at, status, error, replay, past_attempts, past_first_at"
_LETTER = (
    "d.id, d.key, d.seq, d.run, d.reason, d.attempts, d.first_at, d.last_at, d.status, d.error, d.answer,"
    " d.event_id, d.topic, coalesce(e.id, ''), e.topic FROM dead_letters d LEFT JOIN events e ON e.seq = d.seq"
)
#: Bytes of an event from which a page that begins with it is read row by row.
_LARGE = 8_192
#: Bytes that an event takes in the journal beside its body and headers, and a dead letter beside its answer, about.
EVENT_OVERHEAD, LETTER_OVERHEAD = 250, 300
#: Bytes of events that are trimmed in one part.
TRIM_BYTES = 4 * 1_048_576
#: Parts of a second in which times are read: fine enough that each time since 1978 is a whole number of them.
_TICKS = 2**24
_FIRST_SIZE = "SELECT length(head) + length(body) FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1"
_ROWS = f"SELECT {_EVENT} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_SIZES = (
    "SELECT group_concat(seq), group_concat(head), group_concat(body) FROM ("
    "SELECT seq, length(head) AS head, length(body) AS body FROM events"
    " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)"
)
#: Heads and bodies come one after another; as text, which may hold any byte here, since only text can be joined.
_LISTS = (
    f"SELECT group_concat(id, char(10)), group_concat(topic, char(10)), group_concat(CAST(at * {_TICKS} AS INTEGER)),"
    " CAST(group_concat(CAST(head AS TEXT) || CAST(body AS TEXT), '') AS BLOB) FROM ("
    "SELECT id, coalesce(topic, '') AS topic, at, head, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq)"
)


def recovered(db: sqlite3.Connection, remarks: tuple[str, ...]) -> Recovered:
    """What a journal holds that a bus starts from."""
    scanned = db.execute("SELECT seq FROM places WHERE name = 'scanned'").fetchone()[0]
    events = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
    last = max(events, db.execute("SELECT coalesce(max(seq), 0) FROM places").fetchone()[0])
    rows = db.execute("SELECT record FROM lanes WHERE open ORDER BY key").fetchall()
    waiting = db.execute("SELECT key, count(*) FROM deferred GROUP BY key").fetchall()
    lanes = tuple(from_json(text) for (text,) in rows)
    return Recovered(last, scanned, lanes, dict(waiting), remarks)


def page(db: sqlite3.Connection, after: int, end: int, limit: int, max_bytes: int) -> Page:
    """See Journal.page.

    sqlite3 lets go of the interpreter's lock at each row and waits for it again, which a busy event loop holds: many
    small events that came as rows cost more switches between two threads than all else. They come as lists.
    """
    first = db.execute(_FIRST_SIZE, (after, end)).fetchone()
    if first is None:
        return Page((), end)
    listed = _listed(db, after, end, limit, max_bytes) if first[0] < _LARGE else None
    return listed or _by_rows(db, after, end, limit, max_bytes)


def _listed(db: sqlite3.Connection, after: int, end: int, limit: int, max_bytes: int) -> Page | None:
    """A page of one event at least, as lists; None where they do not agree: older SQLites end a list at a NUL."""
    found = db.execute(_SIZES, (after, end, limit)).fetchone()
    seqs, heads, bodies = ([int(number) for number in numbers.split(",")] for numbers in found)
    ends = list(accumulate(map(add, heads, bodies)))
    count = max(1, bisect_right(ends, max_bytes))
    ids, topics, times, whole = db.execute(_LISTS, (after, seqs[count - 1])).fetchone()
    columns = ids.split("\n"), topics.split("\n"), times.split(",")
    if len(whole) != ends[count - 1] or any(len(column) != count for column in columns):
        return None
    events = [
        Event(
            seq, name, topic or None, whole[stop - body - head : stop - body], whole[stop - body : stop],
            int(ticks) / _TICKS,
        )
        for seq, name, topic, ticks, head, body, stop in zip(seqs, *columns, heads, bodies, ends, strict=False)
    ]  # fmt: skip
    return Page(tuple(events), end if count == len(seqs) < limit else seqs[count - 1])


def _by_rows(db: sqlite3.Connection, after: int, end: int, limit: int, max_bytes: int) -> Page:
    events: list[Event] = []
    size = 0
    for row in db.execute(_ROWS, (after, end, limit)):
        size += len(row[3]) + len(row[4])
        if events and size > max_bytes:
            return Page(tuple(events), events[-1].seq)
        events.append(Event._make(row))
    return Page(tuple(events), events[-1].seq if len(events) == limit else end)


def trim_parts(db: sqlite3.Connection, seqs: Sequence[int], most: int) -> list[list[int]]:
    """Events that are there, in parts of so many, and of not too many bytes: each of their pages is looked at."""
    parts: list[list[int]] = [[]]
    size = 0
    sql = "SELECT seq, length(body) FROM events WHERE seq IN (SELECT value FROM json_each(?))"
    for seq, length in db.execute(sql, (json.dumps(seqs),)):
        if len(parts[-1]) >= most or (size + length > TRIM_BYTES and parts[-1]):
            parts.append([])
            size = 0
        parts[-1].append(seq)
        size += length
    return parts


def topics(db: sqlite3.Connection, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
    """See Journal.topics."""
    sql = "SELECT seq, topic, at FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    return db.execute(sql, (after, end, limit)).fetchall()


def find(db: sqlite3.Connection, seqs: Sequence[int]) -> list[Event]:
    """See Journal.find."""
    sql = f"SELECT {_EVENT} FROM events WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
    return [Event._make(row) for row in db.execute(sql, (json.dumps(seqs),))]


def event(db: sqlite3.Connection, event_id: str) -> Event | None:
    """See Journal.event."""
    row = db.execute(f"SELECT {_EVENT} FROM events WHERE id = ? ORDER BY seq DESC LIMIT 1", (event_id,)).fetchone()
    return None if row is None else Event._make(row)


def position_at(db: sqlite3.Connection, moment: float) -> int:
    """See Journal.position_at: a search by halves, since times rise with numbers but for steps of the clock."""
    low, high = db.execute("SELECT coalesce(min(seq), 1) - 1, coalesce(max(seq), 0) FROM events").fetchone()
    while low < high:
        middle = (low + high + 1) // 2
        row = db.execute("SELECT seq, at FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (middle,)).fetchone()
        if row is None or row[1] < moment:
            low = middle
        else:
            high = row[0] - 1
    return int(low)


def sample(db: sqlite3.Connection, seqs: Sequence[int]) -> list[SampledEvent]:
    """See Journal.sample."""
    numbers = (json.dumps(seqs),)
    chosen = "IN (SELECT value FROM json_each(?))"
    sql = f"SELECT seq, topic, length(head) + length(body) + {EVENT_OVERHEAD} FROM events WHERE seq {chosen}"
    events = db.execute(sql, numbers).fetchall()
    waiting, dead = defaultdict(list), defaultdict(list)
    for seq, key in db.execute(f"SELECT seq, key FROM deferred WHERE seq {chosen} LIMIT 100000", numbers):
        waiting[seq].append(key)
    sql = f"SELECT seq, key, length(answer) + {LETTER_OVERHEAD} FROM dead_letters WHERE seq {chosen} AND event_id = ''"
    for seq, key, size in db.execute(f"{sql} LIMIT 100000", numbers):
        dead[seq].append((key, size))
    return [SampledEvent(seq, topic, size, tuple(waiting[seq]), tuple(dead[seq])) for seq, topic, size in events]


def retries(db: sqlite3.Connection, key: str, by_seq: bool, limit: int) -> list[Retry]:  # noqa: FBT001
    """See Journal.deferred."""
    order = "seq, run" if by_seq else "due_at"
    sql = f"SELECT {_DEFERRAL} FROM deferred WHERE key = ? ORDER BY {order} LIMIT ?"
    return [retry_of(row) for row in db.execute(sql, (key, limit))]


def retries_of_event(db: sqlite3.Connection, seq: int) -> list[Retry]:
    """See Journal.retries_of_event."""
    sql = f"SELECT {_DEFERRAL} FROM deferred WHERE seq = ? LIMIT 20000"
    return [retry_of(row) for row in db.execute(sql, (seq,))]


def lane(db: sqlite3.Connection, key: str) -> LaneRecord | None:
    """See Journal.lane."""
    row = db.execute("SELECT record FROM lanes WHERE key = ?", (key,)).fetchone()
    return None if row is None else from_json(row[0])


def closed_lanes(db: sqlite3.Connection, before: float, limit: int) -> list[LaneRecord]:
    """See Journal.closed_lanes."""
    sql = "SELECT record FROM lanes WHERE NOT open AND ended_at < ? ORDER BY ended_at LIMIT ?"
    return [from_json(text) for (text,) in db.execute(sql, (before, limit))]


def closed_size(db: sqlite3.Connection) -> tuple[int, int]:
    """See Journal.closed_size."""
    (count,) = db.execute("SELECT count(*) FROM lanes WHERE NOT open").fetchone()
    sql = "SELECT avg(length(record)) FROM (SELECT record FROM lanes WHERE NOT open ORDER BY ended_at DESC LIMIT 100)"
    return count, int(count * (db.execute(sql).fetchone()[0] or 0))


def newest_closed(db: sqlite3.Connection, skip: int, limit: int) -> list[LaneRecord]:
    """See Journal.newest_closed."""
    sql = "SELECT record FROM lanes WHERE NOT open ORDER BY ended_at DESC, key LIMIT ? OFFSET ?"
    return [from_json(text) for (text,) in db.execute(sql, (limit, skip))]


def dead_letters(db: sqlite3.Connection, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
    """See Journal.dead_letters."""
    values: tuple[object, ...]
    whose, values = ("", (after, limit)) if key is None else ("d.key = ? AND", (key, after, limit))
    sql = f"SELECT {_LETTER} WHERE {whose} d.id > ? ORDER BY d.id LIMIT ?"
    return [_letter(row) for row in db.execute(sql, values)]


def dead_letter(db: sqlite3.Connection, letter_id: int) -> KeptDeadLetter | None:
    """See Journal.dead_letter."""
    row = db.execute(f"SELECT {_LETTER} WHERE d.id = ?", (letter_id,)).fetchone()
    return None if row is None else _letter(row)


def last_dead_letter(db: sqlite3.Connection) -> int:
    """See Journal.last_dead_letter."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM dead_letters").fetchone()[0])


def dead_before(db: sqlite3.Connection, moment: float, limit: int) -> list[KeptDeadLetter]:
    """See Journal.dead_before."""
    sql = f"SELECT {_LETTER} WHERE d.last_at < ? ORDER BY d.last_at LIMIT ?"
    return [_letter(row) for row in db.execute(sql, (moment, limit))]


def failed_deliveries(db: sqlite3.Connection, seq: int) -> list[tuple[str, str]]:
    """See Journal.failed_deliveries."""
    sql = (
        "SELECT key, 'dead' FROM dead_letters WHERE seq = ?1 UNION ALL"
        " SELECT key, 'discarded' FROM discards WHERE first <= ?1 AND last >= ?1 LIMIT 20000"
    )
    return db.execute(sql, (seq,)).fetchall()


def replay(db: sqlite3.Connection, replay_id: str) -> Redelivery | None:
    """See Journal.replay."""
    sql = "SELECT id, at, replayed, delivered, dead, discarded FROM replays WHERE id = ?"
    row = db.execute(sql, (replay_id,)).fetchone()
    return None if row is None else Redelivery(*row)


def retry_of(row: tuple[Any, ...]) -> Retry:
    """A deferral from the columns of its row."""
    *told, replay, attempts, first_at = row
    return Retry(*(*told, None if attempts is None else Past(replay, attempts, first_at)))


def _letter(row: tuple[Any, ...]) -> KeptDeadLetter:
    *told, event_id, topic = row[1:]
    letter = DeadLetter(*told)
    return KeptDeadLetter(row[0], letter, letter.event_id or event_id, letter.topic if letter.event_id else topic)
