"""The scheduled events of a SQLite journal: a table of their own, with an index by due time.

Events become part of the journal within the database, and are read from there as any page is: at the end of each row
sqlite3 releases the interpreter's lock and waits for it again, while a busy event loop holds it.
"""

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from eventbus.core.model import Event, Message
from eventbus.core.schedule import DuePosition, ScheduledEvent, ScheduleState
from eventbus.journal.schedule import CANCELLED_SECONDS, MAX_CANCELLED, Cancel, Move
from eventbus.journal.sqlite.pages import EVENT_COLUMNS, read_page
from eventbus.journal.sqlite.statements import insert_rows, inserts

#: Cancelled events that are past their time, of which so many are removed with each new one.
REMOVED_AT_ONCE = 10
SCHEDULED_COLUMNS = "number, due_at, id, topic, head, body, at, order_key"
_INSERT = inserts("INSERT INTO scheduled (due_at, id, topic, head, body, at, order_key)", 7)
_DUE = (
    "SELECT group_concat(number), group_concat(size) FROM ("
    "SELECT number, length(head) + length(body) AS size FROM scheduled WHERE due_at <= ?"
    " ORDER BY due_at, number LIMIT ?)"
)
#: The index of a number in the array is its order.
_MOVE = (
    f"INSERT INTO events ({EVENT_COLUMNS}) SELECT ?1 + j.key, s.id, s.topic, s.head, s.body, ?2, s.order_key"
    " FROM json_each(?3) j JOIN scheduled s ON s.number = j.value"
)


def insert_scheduled(db: sqlite3.Connection, messages: Sequence[Message], due_at: float) -> None:
    """Schedule messages, in their order."""
    insert_rows(db, _INSERT, [(due_at, *message) for message in messages])


def move_due(db: sqlite3.Connection, move: Move, first_seq: int) -> tuple[Event, ...]:
    """Make events of what is due, with numbers from ``first_seq`` on, and return them."""
    numbers, sizes = db.execute(_DUE, (move.now, move.limit)).fetchone()
    if numbers is None:
        return ()
    count = max(1, bisect_right(list(accumulate(map(int, sizes.split(",")))), move.max_bytes))
    chosen = json.dumps([int(number) for number in numbers.split(",")[:count]])
    db.execute(_MOVE, (first_seq, move.now, chosen))
    db.execute("DELETE FROM scheduled WHERE number IN (SELECT value FROM json_each(?))", (chosen,))
    return read_page(db, first_seq - 1, first_seq + count - 1, count, 2**62).events


def cancel(db: sqlite3.Connection, change: Cancel) -> tuple[int, float | None]:
    """Return how many events this has removed, and when the event was cancelled; see Journal.cancel."""
    removed = db.execute("DELETE FROM scheduled WHERE id = ?", (change.event_id,)).rowcount
    if not removed:
        return 0, cancelled_at(db, change.event_id)
    db.execute("INSERT INTO cancelled (id, at) VALUES (?, ?)", (change.event_id, change.at))
    db.execute("DELETE FROM cancelled WHERE number <= (SELECT max(number) FROM cancelled) - ?", (MAX_CANCELLED,))
    db.execute(
        f"DELETE FROM cancelled WHERE at < ?"
        f" AND number IN (SELECT number FROM cancelled ORDER BY number LIMIT {REMOVED_AT_ONCE})",
        (change.at - CANCELLED_SECONDS,),
    )
    return removed, change.at


def count_scheduled(db: sqlite3.Connection) -> int:
    """Count the scheduled events, by their index."""
    return int(db.execute("SELECT count(*) FROM scheduled").fetchone()[0])


def read_state(db: sqlite3.Connection, count: int) -> ScheduleState:
    """Return what is scheduled; there are ``count`` of them."""
    (due_at,) = db.execute("SELECT min(due_at) FROM scheduled").fetchone()
    return ScheduleState() if due_at is None else ScheduleState(count, due_at)


def read_scheduled(db: sqlite3.Connection, after: DuePosition, limit: int, max_bytes: int) -> list[ScheduledEvent]:
    """Return a page of scheduled events; see JournalQueries.scheduled."""
    found: list[ScheduledEvent] = []
    size = 0
    sql = f"SELECT {SCHEDULED_COLUMNS} FROM scheduled WHERE (due_at, number) > (?, ?) ORDER BY due_at, number LIMIT ?"
    for row in db.execute(sql, (after.due_at, after.number, limit)):
        event = scheduled_of(row)
        size += len(event.message.head) + len(event.message.body)
        if found and size > max_bytes:
            break
        found.append(event)
    return found


def read_one(db: sqlite3.Connection, event_id: str) -> ScheduledEvent | None:
    """Return a scheduled event by its id."""
    row = db.execute(f"SELECT {SCHEDULED_COLUMNS} FROM scheduled WHERE id = ?", (event_id,)).fetchone()
    return None if row is None else scheduled_of(row)


def cancelled_at(db: sqlite3.Connection, event_id: str) -> float | None:
    """Return when an event was cancelled; see JournalQueries.cancelled_at."""
    row = db.execute("SELECT at FROM cancelled WHERE id = ?", (event_id,)).fetchone()
    return None if row is None else float(row[0])


def scheduled_of(row: Sequence[object]) -> ScheduledEvent:
    """Return a scheduled event from the columns of its row."""
    number, due_at, *message = row
    return ScheduledEvent(number, due_at, Message._make(message))  # type: ignore[arg-type]


def scheduled_row(event: ScheduledEvent) -> tuple[object, ...]:
    """Return the columns of a scheduled event."""
    return event.number, event.due_at, *event.message
