"""The SQL of a commit.

Many rows go into one statement: at the end of each, sqlite3 releases the interpreter's lock and waits for it again,
while a busy event loop holds it.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from eventbus.core.model import Event
from eventbus.core.records import BLOCKED_UNTIL, Checkpoint, DeadLetter, Retry
from eventbus.journal import lane_json
from eventbus.journal.base import MAX_REDELIVERIES, KeptDeadLetter

#: Events that one statement inserts where it is a transaction of its own, at most.
MAX_STATEMENT_EVENTS = 64
#: Rows in one INSERT: many together, the rest exactly, so that there are few statements to prepare.
_INSERT_SIZES = (256, *range(MAX_STATEMENT_EVENTS, 0, -1))

#: The columns of a retry; see ``retry_row``.
RETRY_COLUMNS = (
    "key, seq, run, attempts, first_at, due_at, status, error, replay, past_attempts, past_first_at, order_key,"
    " past_expires"
)


def inserts(sql: str, columns: int) -> dict[int, str]:
    """Return a statement for each number of rows."""
    row = f"({', '.join('?' * columns)})"
    return {size: f"{sql} VALUES {', '.join([row] * size)}" for size in _INSERT_SIZES}


_INSERT_EVENTS = inserts("INSERT INTO events (seq, id, topic, head, body, at, order_key)", 7)
_INSERT_LANES = inserts("INSERT OR REPLACE INTO lanes (key, record, open, ended_at)", 4)
_INSERT_RETRIES = inserts(f"INSERT OR REPLACE INTO deferred ({RETRY_COLUMNS})", 13)
_INSERT_DEAD_LETTERS = inserts(
    "INSERT OR IGNORE INTO dead_letters"
    " (key, seq, run, reason, attempts, first_at, last_at, status, error, answer, dead_to)",
    11,
)

# sqlite3 asks what is bytes or None whether it would rather be something else, and makes and drops two exceptions to
# find that it would not: dearer than storing it. An adapter is asked before; these give back what they get.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(type(None), {None: None}.get)


def insert_events(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Insert events in as few statements as possible."""
    insert_rows(db, _INSERT_EVENTS, events)


def insert_rows(db: sqlite3.Connection, statements: Mapping[int, str], rows: Sequence[Iterable[object]]) -> None:
    """Insert rows by the statements that ``inserts`` has made."""
    start = 0
    while left := len(rows) - start:
        size = _INSERT_SIZES[0] if left >= _INSERT_SIZES[0] else min(left, MAX_STATEMENT_EVENTS)
        db.execute(statements[size], list(chain.from_iterable(rows[start : start + size])))
        start += size


def save_checkpoint(db: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """Save a checkpoint. A delivery may leave one table and enter another in it."""
    if checkpoint.lanes:
        rows = [(r.subscriber.key, lane_json.to_json(r), int(r.open), r.ended_at) for r in checkpoint.lanes]
        insert_rows(db, _INSERT_LANES, rows)
    if checkpoint.settled_retries:
        _count_settled(db, checkpoint)
        _each(
            db,
            f"DELETE FROM deferred WHERE (key, seq, run) IN (SELECT {_columns(3)} FROM json_each(?))",
            checkpoint.settled_retries,
        )
    if checkpoint.retries:
        insert_rows(db, _INSERT_RETRIES, [retry_row(row) for row in checkpoint.retries])
    for key in checkpoint.hastened:
        db.execute(
            "UPDATE deferred SET due_at = ? WHERE key = ? AND due_at > ? AND due_at < ?",
            (checkpoint.at, key, checkpoint.at, BLOCKED_UNTIL),
        )
    if checkpoint.dead:
        insert_rows(db, _INSERT_DEAD_LETTERS, [dead_letter_row(letter) for letter in checkpoint.dead])
    _save_decisions(db, checkpoint)
    db.execute("UPDATE places SET seq = max(seq, ?) WHERE name = 'scanned'", (checkpoint.scanned,))


def _save_decisions(db: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """Save what people, or the end of a registration, decided about retries and dead letters."""
    for key in checkpoint.cleared:
        sql = "SELECT replay, count(*) FROM deferred WHERE key = ? AND replay <> '' GROUP BY replay"
        _count(db, "discarded", dict(db.execute(sql, (key,)).fetchall()))
        db.execute("INSERT INTO discards SELECT key, seq, seq, ? FROM deferred WHERE key = ?", (checkpoint.at, key))
        db.execute("DELETE FROM deferred WHERE key = ?", (key,))
    if checkpoint.replayed:
        ids = json.dumps(checkpoint.replayed)
        count = db.execute(
            "INSERT OR REPLACE INTO deferred SELECT key, seq, run, attempts, ?1, ?1, status, error, ?2, attempts,"
            " first_at, coalesce((SELECT order_key FROM events WHERE seq = d.seq), ''), ?4 FROM dead_letters d"
            " WHERE id IN (SELECT value FROM json_each(?3))",
            (checkpoint.at, checkpoint.replay, ids, int(checkpoint.replay_expires)),
        ).rowcount
        _begin_redelivery(db, checkpoint, count)
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


def _begin_redelivery(db: sqlite3.Connection, checkpoint: Checkpoint, count: int) -> None:
    """Count redelivered dead letters; a redelivery exists from its first checkpoint that redelivers something."""
    if not checkpoint.replay or not count:
        return
    db.execute(
        "INSERT INTO replays (id, at, replayed) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET replayed = replayed + excluded.replayed",
        (checkpoint.replay, checkpoint.at, count),
    )
    db.execute(
        "DELETE FROM replays WHERE id IN (SELECT id FROM replays ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (MAX_REDELIVERIES,),
    )


def _count_settled(db: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """Count settled retries for their redeliveries: dead, discarded or filtered in this checkpoint, else delivered."""
    sql = (
        f"SELECT replay, key, seq, run FROM deferred WHERE replay <> ''"
        f" AND (key, seq, run) IN (SELECT {_columns(3)} FROM json_each(?))"
    )
    rows = db.execute(sql, (json.dumps(checkpoint.settled_retries),)).fetchall()
    if rows:
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        ended = dict.fromkeys(checkpoint.filtered_retries, "filtered")
        ended |= {(letter.key, letter.seq, letter.replay_id): "dead" for letter in checkpoint.dead}
        for replay, key, seq, replay_id in rows:
            discarded = any(span.key == key and span.first <= seq <= span.last for span in checkpoint.discards)
            how = ended.get((key, seq, replay_id)) or ("discarded" if discarded else "delivered")
            outcomes[how][replay] += 1
        for how, counts in outcomes.items():
            _count(db, how, counts)


def _count(db: sqlite3.Connection, how: str, counts: Mapping[str, int]) -> None:
    """Add to the counts of redeliveries; ``how`` is the column."""
    db.executemany(f"UPDATE replays SET {how} = {how} + ? WHERE id = ?", [(n, replay) for replay, n in counts.items()])


def retry_row(row: Retry) -> tuple[object, ...]:
    """Return the columns of a retry."""
    past = ("", None, None) if row.past is None else (row.past.replay, row.past.attempts, row.past.first_at)
    columns = row.key, row.seq, row.replay_id, row.attempts, row.first_at, row.due_at, row.status, row.error
    return (*columns, *past, row.order_key, int(row.past is None or row.past.expires))


def dead_letter_row(row: DeadLetter) -> tuple[object, ...]:
    """Return the columns of a dead letter."""
    times, last = (row.first_at, row.last_at), (row.status, row.error, row.answer)
    return row.key, row.seq, row.replay_id, row.reason, row.attempts, *times, *last, row.dead_to


def trim(db: sqlite3.Connection, seqs: Sequence[int], forget_before: float) -> int:
    """Remove settled events, some old discards, and some of events that are gone; return how many events."""
    removed = db.execute(
        "DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?))"
        " AND NOT EXISTS (SELECT 1 FROM deferred WHERE deferred.seq = events.seq)"
        " AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.seq = events.seq AND d.event_id = '')",
        (json.dumps(seqs),),
    ).rowcount
    db.execute(
        "DELETE FROM discards WHERE rowid IN (SELECT rowid FROM discards WHERE at < ? LIMIT 1000)",
        (forget_before,),
    )
    db.execute(
        "DELETE FROM discards WHERE rowid IN"
        " (SELECT rowid FROM discards WHERE last < (SELECT min(seq) FROM events) LIMIT 10000)"
    )
    return removed


def take_letters(db: sqlite3.Connection, letters: Sequence[int]) -> bool:
    """Note that dead letters have been published; change nothing, and return False, if one was not to be any more."""
    ids = json.dumps(letters)
    waiting = "id IN (SELECT value FROM json_each(?)) AND dead_to <> ''"
    if db.execute(f"SELECT count(*) FROM dead_letters WHERE {waiting}", (ids,)).fetchone()[0] < len(letters):
        return False
    db.execute(f"UPDATE dead_letters SET dead_to = '' WHERE {waiting}", (ids,))
    return True


def give_up_bodies(db: sqlite3.Connection, letters: Sequence[KeptDeadLetter]) -> None:
    """Detach dead letters from the bodies of their events: they keep the event's id and topic themselves."""
    db.executemany(
        "UPDATE dead_letters SET event_id = ?, topic = ?, order_key = ?, answer = x'', dead_to = '' WHERE id = ?",
        [(one.event_id, one.topic, one.order_key, one.id) for one in letters],
    )


def has_discards_before(db: sqlite3.Connection, moment: float) -> bool:
    """Return whether there are discards before a moment."""
    return db.execute("SELECT 1 FROM discards WHERE at < ? LIMIT 1", (moment,)).fetchone() is not None


def forget_keys(db: sqlite3.Connection, keys: Sequence[str]) -> None:
    """Remove idempotency keys."""
    db.execute("DELETE FROM idempotency WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(keys),))


def _columns(count: int) -> str:
    """Return the first elements of a JSON array as columns."""
    return ", ".join(f"json_extract(value, '$[{number}]')" for number in range(count))


def _each(db: sqlite3.Connection, sql: str, rows: object) -> None:
    """Run one statement over many rows, handed over as one JSON text."""
    db.execute(sql, (json.dumps(rows),))
