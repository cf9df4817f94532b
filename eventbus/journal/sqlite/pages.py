"""Reads pages of events.

sqlite3 releases the interpreter's lock at each row and waits for it again, while a busy event loop holds it. For many
small events that came as rows, these switches between two threads would cost more than all else. They come as lists.
"""

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import add

from eventbus.core.model import Event
from eventbus.journal.base import Page

EVENT_COLUMNS = "seq, id, topic, head, body, at, order_key"
#: Bytes of an event from which a page that begins with it is read row by row.
LARGE_EVENT_BYTES = 8_192
#: Parts of a second in which times are read: fine enough that each time since 1978 is a whole number of them.
_TICKS = 2**24
_FIRST_SIZE = "SELECT length(head) + length(body) FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1"
_ROWS = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_SIZES = (
    "SELECT group_concat(seq), group_concat(head), group_concat(body) FROM ("
    "SELECT seq, length(head) AS head, length(body) AS body FROM events"
    " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)"
)
#: Heads and bodies come one after another; as text, which may hold any byte here, since only text can be joined.
_LISTS = (
    f"SELECT group_concat(id, char(10)), group_concat(topic, char(10)), group_concat(CAST(at * {_TICKS} AS INTEGER)),"
    " group_concat(order_key, char(10)),"
    " CAST(group_concat(CAST(head AS TEXT) || CAST(body AS TEXT), '') AS BLOB) FROM ("
    "SELECT id, coalesce(topic, '') AS topic, at, order_key, head, body"
    " FROM events WHERE seq > ? AND seq <= ? ORDER BY seq)"
)
_BODY_SIZES = (
    "SELECT group_concat(seq), group_concat(size) FROM (SELECT seq, length(body) AS size FROM events"
    " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq)"
)
_TOPIC_ROWS = "SELECT seq, topic, at FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_TOPICS = (
    f"SELECT group_concat(seq), group_concat(topic, char(10)), group_concat(CAST(at * {_TICKS} AS INTEGER)) FROM ("
    "SELECT seq, coalesce(topic, '') AS topic, at FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)"
)


def read_topics(db: sqlite3.Connection, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
    """Return sequence numbers, topics and times; see JournalQueries.topics."""
    seqs, topics, times = db.execute(_TOPICS, (after, end, limit)).fetchone()
    if seqs is None:
        return []
    columns = seqs.split(","), topics.split("\n"), times.split(",")
    if len(columns[1]) != len(columns[0]):  # a topic that no bus accepts
        return db.execute(_TOPIC_ROWS, (after, end, limit)).fetchall()
    return [(int(seq), topic or None, int(ticks) / _TICKS) for seq, topic, ticks in zip(*columns, strict=True)]


def read_sizes(db: sqlite3.Connection, after: int, end: int, limit: int) -> list[tuple[int, int]]:
    """Return sequence numbers, and the bytes of heads and bodies; see JournalQueries.sizes."""
    seqs, heads, bodies = db.execute(_SIZES, (after, end, limit)).fetchone()
    if seqs is None:
        return []
    columns = zip(_numbers(seqs), _numbers(heads), _numbers(bodies), strict=True)
    return [(seq, head + body) for seq, head, body in columns]


def read_body_sizes(db: sqlite3.Connection, seqs: Sequence[int]) -> list[tuple[int, int]]:
    """Return those of the sequence numbers that exist, and the bytes of each body."""
    found, bodies = db.execute(_BODY_SIZES, (json.dumps(seqs),)).fetchone()
    return [] if found is None else list(zip(_numbers(found), _numbers(bodies), strict=True))


def _numbers(text: str) -> Iterator[int]:
    return map(int, text.split(","))


def read_page(db: sqlite3.Connection, after: int, end: int, limit: int, max_bytes: int) -> Page:
    """Return a page of events; see JournalQueries.page."""
    first = db.execute(_FIRST_SIZE, (after, end)).fetchone()
    if first is None:
        return Page((), end)
    page = _page_by_lists(db, after, end, limit, max_bytes) if first[0] < LARGE_EVENT_BYTES else None
    return page or _page_by_rows(db, after, end, limit, max_bytes)


def _page_by_lists(db: sqlite3.Connection, after: int, end: int, limit: int, max_bytes: int) -> Page | None:
    """Return a page of one event at least; None if the lists do not agree: older SQLites end a list at a NUL."""
    found = db.execute(_SIZES, (after, end, limit)).fetchone()
    seqs, heads, bodies = (list(_numbers(numbers)) for numbers in found)
    ends = list(accumulate(map(add, heads, bodies)))
    count = max(1, bisect_right(ends, max_bytes))
    ids, topics, times, keys, content = db.execute(_LISTS, (after, seqs[count - 1])).fetchone()
    columns = ids.split("\n"), topics.split("\n"), times.split(","), keys.split("\n")
    if len(content) != ends[count - 1] or any(len(column) != count for column in columns):
        return None
    events = [
        Event(
            seq, name, topic or None, content[stop - body - head : stop - body], content[stop - body : stop],
            int(ticks) / _TICKS, key,
        )
        for seq, name, topic, ticks, key, head, body, stop in zip(seqs, *columns, heads, bodies, ends, strict=False)
    ]  # fmt: skip
    return Page(tuple(events), end if count == len(seqs) < limit else seqs[count - 1])


def _page_by_rows(db: sqlite3.Connection, after: int, end: int, limit: int, max_bytes: int) -> Page:
    events: list[Event] = []
    size = 0
    for row in db.execute(_ROWS, (after, end, limit)):
        size += len(row[3]) + len(row[4])
        if events and size > max_bytes:
            return Page(tuple(events), events[-1].seq)
        events.append(Event._make(row))
    return Page(tuple(events), events[-1].seq if len(events) == limit else end)
