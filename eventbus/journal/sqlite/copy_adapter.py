"""A SQLite journal as the source or the target of a copy."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from eventbus.core.errors import JournalError
from eventbus.core.model import Event
from eventbus.core.override import override
from eventbus.core.records import DeadLetter, Discard
from eventbus.journal import lane_json
from eventbus.journal.copy.copying import Batch, Copyable, Extent, Mark, RecordKind
from eventbus.journal.copy.fingerprints import CancelledEvent, DatedDiscard, NumberedLetter, Row, UsedKey
from eventbus.journal.sqlite.pages import EVENT_COLUMNS
from eventbus.journal.sqlite.queries import retry_of
from eventbus.journal.sqlite.schedule import SCHEDULED_COLUMNS, scheduled_of, scheduled_row
from eventbus.journal.sqlite.schema import MARK_TABLE
from eventbus.journal.sqlite.statements import RETRY_COLUMNS, retry_row
from eventbus.journal.sqlite.store import Store


@dataclass(frozen=True, slots=True)
class _Table:
    """The table of one kind. Its first ``order`` columns are its order, and a position in it."""

    name: str
    columns: str
    order: int
    read: Callable[[tuple[Any, ...]], Row]
    write: Callable[[Any], tuple[Any, ...]]

    @property
    def rows(self) -> str:
        """All rows; equal ones count as one."""
        return f"SELECT DISTINCT {self.columns} FROM {self.name}"

    @property
    def position(self) -> str:
        """The columns of a position."""
        return ", ".join(self.columns.split(", ")[: self.order])


_TABLES = {
    RecordKind.EVENTS: _Table("events", EVENT_COLUMNS, 1, Event._make, tuple),
    RecordKind.LANES: _Table(
        "lanes",
        "key, record, open, ended_at",
        1,
        lambda row: lane_json.from_json(row[1]),
        lambda lane: (lane.subscriber.key, lane_json.to_json(lane), int(lane.open), lane.ended_at),
    ),
    RecordKind.RETRIES: _Table(
        "deferred",
        RETRY_COLUMNS,
        3,
        retry_of,
        retry_row,
    ),
    RecordKind.DEAD_LETTERS: _Table(
        "dead_letters",
        "id, key, seq, run, reason, attempts, first_at, last_at, status, error, answer, event_id, topic, order_key,"
        " dead_to",
        1,
        lambda row: NumberedLetter(row[0], DeadLetter(*row[1:])),
        lambda kept: (kept.id, *astuple(kept.letter)),
    ),
    RecordKind.DISCARDS: _Table(
        "discards",
        "last, first, key, at",
        4,
        lambda row: DatedDiscard(Discard(row[2], row[1], row[0]), row[3]),
        lambda kept: (kept.span.last, kept.span.first, kept.span.key, kept.at),
    ),
    RecordKind.KEYS: _Table("idempotency", "key, ids, at, content, due_at", 1, lambda row: UsedKey(*row), astuple),
    RecordKind.SCHEDULED: _Table("scheduled", SCHEDULED_COLUMNS, 1, scheduled_of, scheduled_row),
    RecordKind.CANCELLED: _Table("cancelled", "id, at", 1, lambda row: CancelledEvent(*row), astuple),
}


class SqliteCopying(Copyable):
    """A SQLite file that is copied. No bus can start on it while it is open."""

    def __init__(self, path: str) -> None:
        self._store = Store(path)
        self._path = Path(path)

    @property
    @override
    def name(self) -> str:
        return f"sqlite:///{self._path.resolve()}"

    @override
    def open(self, *, create: bool) -> tuple[str, ...]:
        if not create and not (self._path.is_file() and self._path.stat().st_size):
            raise JournalError(f"There is no journal {self._path}.")
        return self._store.connect()

    @override
    def check_unused(self) -> None:
        """Return: this process has the lock on the file."""

    @override
    def extent(self) -> Extent:
        return self._store.export(_extent)

    @override
    def export(self, kind: RecordKind, after: str, limit: int, max_bytes: int) -> Batch:
        return self._store.export(_export, _TABLES[kind], after, limit, max_bytes)

    @override
    def mark(self) -> Mark | None:
        text = self._store.mark()
        return None if text is None else Mark.from_json(text)

    @override
    def begin(self, mark: Mark) -> None:
        self._store.change(_begin, mark)

    @override
    def write(self, rows: Sequence[Row], mark: Mark) -> None:
        self._store.change(_write, rows, mark)

    @override
    def finish(self) -> None:
        self._store.change(_finish)

    @override
    def close(self) -> None:
        self._store.close()


def _extent(db: sqlite3.Connection) -> Extent:
    def one(sql: str) -> int:
        return int(db.execute(sql).fetchone()[0])

    return Extent(
        max(one("SELECT coalesce(max(seq), 0) FROM events"), one("SELECT max(seq) FROM places")),
        one("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dead_letters'"),
        one("SELECT seq FROM places WHERE name = 'scanned'"),
        {kind: one(f"SELECT count(*) FROM {_counted(table)}") for kind, table in _TABLES.items()},
    )


def _counted(table: _Table) -> str:
    """Return what is counted: the table, or its distinct rows if it has no key."""
    return f"({table.rows})" if table is _TABLES[RecordKind.DISCARDS] else table.name


def _export(db: sqlite3.Connection, table: _Table, after: str, limit: int, max_bytes: int) -> Batch:
    values = json.loads(after) if after else []
    where = f"WHERE ({table.position}) > ({', '.join('?' * table.order)})" if after else ""
    cursor = db.execute(f"{table.rows} {where} ORDER BY {table.position} LIMIT ?", (*values, limit))
    found = _fitting(cursor, max_bytes)
    cursor.close()  # or the statement would hold its snapshot
    return Batch(tuple(map(table.read, found)), json.dumps(found[-1][: table.order]) if found else after)


def _fitting(rows: Iterable[tuple[Any, ...]], max_bytes: int) -> list[tuple[Any, ...]]:
    """Return the first rows, until they reach so many bytes."""
    found, size = [], 0
    for row in rows:
        found.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size >= max_bytes:
            break
    return found


def _begin(db: sqlite3.Connection, mark: Mark) -> None:
    extent = mark.extent
    db.execute(f"CREATE TABLE {MARK_TABLE} (mark TEXT NOT NULL)")
    db.execute(f"INSERT INTO {MARK_TABLE} VALUES (?)", (mark.to_json(),))
    cursors = [("scanned", extent.scanned), ("last", extent.last_seq)]
    db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?)", cursors)
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('dead_letters', ?)", (extent.last_letter,))


def _write(db: sqlite3.Connection, rows: Sequence[Row], mark: Mark) -> None:
    table = _TABLES[mark.kind]
    values = ", ".join("?" * len(table.columns.split(", ")))
    db.executemany(f"INSERT INTO {table.name} ({table.columns}) VALUES ({values})", map(table.write, rows))
    db.execute(f"UPDATE {MARK_TABLE} SET mark = ?", (mark.to_json(),))


def _finish(db: sqlite3.Connection) -> None:
    db.execute(f"DROP TABLE {MARK_TABLE}")
