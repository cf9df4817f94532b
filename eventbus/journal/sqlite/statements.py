"""The SQL of a commit.

Many rows go into one statement: each statement that ends lets go of, and waits for, the interpreter's lock,
which a busy event loop holds.
"""

import json
import math
import sqlite3
from collections.abc import Sequence
from itertools import chain

from eventbus.journal import records
from eventbus.model import Checkpoint, Event

#: Events that one statement takes, at most.
ONE_STATEMENT = 64
#: Rows in one INSERT of events: many together, the rest exactly, so that there are few statements to prepare.
_INSERT_SIZES = (256, *range(ONE_STATEMENT, 0, -1))
_INSERT_EVENTS = {
    size: "INSERT INTO events (seq, id, topic, head, body, at) VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?)"] * size)
    for size in _INSERT_SIZES
}

# sqlite3 asks what is bytes or None whether it would rather be something else, and makes and drops two exceptions to
# find that it would not: dearer than storing it. An adapter is asked before; these give back what they get.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(type(None), {None: None}.get)


def insert_events(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Insert events in as few statements as can be."""
    start = 0
    while left := len(events) - start:
        size = _INSERT_SIZES[0] if left >= _INSERT_SIZES[0] else min(left, ONE_STATEMENT)
        db.execute(_INSERT_EVENTS[size], list(chain.from_iterable(events[start : start + size])))
        start += size


def save_checkpoint(db: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """Write what has changed. A delivery may leave one table and enter another in the same checkpoint."""
    if checkpoint.lanes:
        rows = [(r.subscriber.key, records.to_json(r), int(r.open), r.ended_at) for r in checkpoint.lanes]
        _each(db, f"INSERT OR REPLACE INTO lanes SELECT {_columns(4)} FROM json_each(?)", rows)
    if checkpoint.undeferred:
        _each(
            db,
            f"DELETE FROM deferred WHERE (key, seq, run) IN (SELECT {_columns(3)} FROM json_each(?))",
            checkpoint.undeferred,
        )
    if checkpoint.deferred:
        waiting = [
            (d.key, d.seq, d.run, d.attempts, d.first_at, d.due_at, d.status, d.error) for d in checkpoint.deferred
        ]
        _each(db, f"INSERT OR REPLACE INTO deferred SELECT {_columns(8)} FROM json_each(?)", waiting)
    if checkpoint.dead:
        db.executemany(
            "INSERT OR IGNORE INTO dead_letters"
            " (key, seq, run, reason, attempts, first_at, last_at, status, error, answer)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    d.key,
                    d.seq,
                    d.run,
                    d.reason,
                    d.attempts,
                    d.first_at,
                    d.last_at,
                    d.status,
                    d.error,
                    d.answer,
                )
                for d in checkpoint.dead
            ],
        )
    _save_decisions(db, checkpoint)
    db.execute("UPDATE places SET seq = max(seq, ?) WHERE name = 'scanned'", (checkpoint.scanned,))


def _save_decisions(db: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """What people, or the end of a registration, decided about what was waiting or dead."""
    for key in checkpoint.cleared:
        db.execute("INSERT INTO discards SELECT key, seq, seq, ? FROM deferred WHERE key = ?", (checkpoint.at, key))
        db.execute("DELETE FROM deferred WHERE key = ?", (key,))
    if checkpoint.replayed:
        ids = json.dumps(checkpoint.replayed)
        db.execute(
            "INSERT OR REPLACE INTO deferred SELECT key, seq, run, 0, ?, ?, status, error FROM dead_letters"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (checkpoint.at, checkpoint.at, ids),
        )
        db.execute("DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    if checkpoint.dropped:
        ids = json.dumps(checkpoint.dropped)
        db.execute(
            "INSERT INTO discards SELECT key, seq, seq, ? FROM dead_letters"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (checkpoint.at, ids),
        )
        db.execute("DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    if checkpoint.discards:
        spans = [(d.key, d.first, d.last, checkpoint.at) for d in checkpoint.discards]
        _each(db, f"INSERT INTO discards SELECT {_columns(4)} FROM json_each(?)", spans)
    for key in checkpoint.forgotten:
        db.execute("DELETE FROM lanes WHERE key = ?", (key,))


def trim(db: sqlite3.Connection, seqs: Sequence[int], forget_before: float) -> int:
    """Remove settled events, and what is remembered of older times; answers how many events went."""
    gone = db.execute(
        "DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?))"
        " AND NOT EXISTS (SELECT 1 FROM deferred WHERE deferred.seq = events.seq)"
        " AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.seq = events.seq)",
        (json.dumps(seqs),),
    ).rowcount
    db.execute(
        "DELETE FROM discards WHERE rowid IN (SELECT rowid FROM discards WHERE at < ? LIMIT 1000)",
        (forget_before,),
    )
    return gone


def forget_idempotency_keys(db: sqlite3.Connection, before: float, over: int) -> int:
    """Forget keys that were used before a moment, and the ``over`` oldest; some at a time."""
    sql = "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE at < ? ORDER BY at LIMIT ?)"
    gone = db.execute(sql, (before, 1_000)).rowcount
    if over > gone:
        gone += db.execute(sql, (math.inf, min(over - gone, 1_000))).rowcount
    return gone


def _columns(count: int) -> str:
    """The first elements of a JSON array, as columns."""
    return ", ".join(f"json_extract(value, '$[{number}]')" for number in range(count))


def _each(db: sqlite3.Connection, sql: str, rows: object) -> None:
    """Run one statement over many rows, handed over as one JSON text."""
    db.execute(sql, (json.dumps(rows),))
