"""A SQLite journal as what is copied, and as the copy."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from eventbus.core.errors import JournalError
from eventbus.core.model import DeadLetter, Discard, Event
from eventbus.journal import lane_json
from eventbus.journal.copy.copying import Batch, Extent, Kind, Mark
from eventbus.journal.copy.fingerprints import DatedDiscard, NumberedLetter, Row, UsedKey
from eventbus.journal.sqlite.pages import EVENT_COLUMNS
from eventbus.journal.sqlite.queries import RETRY_COLUMNS, retry_of
from eventbus.journal.sqlite.schema import MARK_TABLE
from eventbus.journal.sqlite.statements import retry_row
from eventbus.journal.sqlite.store import Store


@dataclass(frozen=True, slots=True)
class _Table:
    """Where rows of one kind are. The first ``order`` columns are its order, and name a place in it."""

    name: str
    columns: str
    order: int
    read: Callable[[tuple[Any, ...]], Row]
    write: Callable[[Any], tuple[Any, ...]]

    @property
    def rows(self) -> str:
        """All rows. Two that are the same count as one, as they do for who asks."""
        return f"SELECT DISTINCT {self.columns} FROM {self.name}"

    @property
    def place(self) -> str:
        """The columns that name a place."""
        return ", ".join(self.columns.split(", ")[: self.order])


_TABLES = {
    Kind.EVENTS: _Table("events", EVENT_COLUMNS, 1, Event._make, tuple),
    Kind.LANES: _Table(
        "lanes",
        "key, record, open, ended_at",
        1,
        lambda row: lane_json.from_json(row[1]),
        lambda lane: (lane.subscriber.key, lane_json.to_json(lane), int(lane.open), lane.ended_at),
    ),
    Kind.DEFERRED: _Table(
        "deferred",
        RETRY_COLUMNS,
        3,
        retry_of,
        retry_row,
    ),
    Kind.DEAD_LETTERS: _Table(
        "dead_letters",
        "id, key, seq, run, reason, attempts, first_at, last_at, status, error, answer, event_id, topic",
        1,
        lambda row: NumberedLetter(row[0], DeadLetter(*row[1:])),
        lambda kept: (kept.id, *astuple(kept.letter)),
    ),
    Kind.DISCARDS: _Table(
        "discards",
        "last, first, key, at",
        4,
        lambda row: DatedDiscard(Discard(row[2], row[1], row[0]), row[3]),
        lambda kept: (kept.span.last, kept.span.first, kept.span.key, kept.at),
    ),
    Kind.KEYS: _Table("idempotency", "key, ids, at, content", 1, lambda row: UsedKey(*row), astuple),
}


class SqliteCopying:
    """``eventbus.journal.copy.copying.Copyable`` on a SQLite file. Holding it open keeps every bus away."""

    def __init__(self, path: str) -> None:
        self._store = Store(path)
        self._path = Path(path)

    @property
    def name(self) -> str:
        """See Copyable.name."""
        return f"sqlite:///{self._path.resolve()}"

    def open(self, *, create: bool) -> tuple[str, ...]:
        """See Copyable.open."""
        if not create and not (self._path.is_file() and self._path.stat().st_size):
            raise JournalError(f"There is no journal {self._path}.")
        return self._store.connect()

    def check_unused(self) -> None:
        """See Copyable.check_unused: the lock on the file has been taken."""

    def extent(self) -> Extent:
        """See Copyable.extent."""
        return self._store.export(_extent)

    def export(self, kind: Kind, after: str, limit: int, max_bytes: int) -> Batch:
        """See Copyable.export."""
        return self._store.export(_export, _TABLES[kind], after, limit, max_bytes)

    def mark(self) -> Mark | None:
        """See Copyable.mark."""
        text = self._store.mark()
        return None if text is None else Mark.from_json(text)

    def begin(self, mark: Mark) -> None:
        """See Copyable.begin."""
        self._store.change(_begin, mark)

    def take(self, rows: Sequence[Row], mark: Mark) -> None:
        """See Copyable.take."""
        self._store.change(_take, rows, mark)

    def finish(self) -> None:
        """See Copyable.finish."""
        self._store.change(_finish)

    def close(self) -> None:
        """See Copyable.close."""
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
    """What is counted: a table, but for the one that has no key."""
    return f"({table.rows})" if table is _TABLES[Kind.DISCARDS] else table.name


def _export(db: sqlite3.Connection, table: _Table, after: str, limit: int, max_bytes: int) -> Batch:
    values = json.loads(after) if after else []
    where = f"WHERE ({table.place}) > ({', '.join('?' * table.order)})" if after else ""
    cursor = db.execute(f"{table.rows} {where} ORDER BY {table.place} LIMIT ?", (*values, limit))
    found = _fitting(cursor, max_bytes)
    cursor.close()  # or the statement would hold its snapshot
    return Batch(tuple(map(table.read, found)), json.dumps(found[-1][: table.order]) if found else after)


def _fitting(rows: Iterable[tuple[Any, ...]], max_bytes: int) -> list[tuple[Any, ...]]:
    """The first rows, as many as reach the bytes."""
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
    places = [("scanned", extent.scanned), ("last", extent.last_seq)]
    db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?)", places)
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('dead_letters', ?)", (extent.last_letter,))


def _take(db: sqlite3.Connection, rows: Sequence[Row], mark: Mark) -> None:
    table = _TABLES[mark.kind]
    values = ", ".join("?" * len(table.columns.split(", ")))
    db.executemany(f"INSERT INTO {table.name} ({table.columns}) VALUES ({values})", map(table.write, rows))
    db.execute(f"UPDATE {MARK_TABLE} SET mark = ?", (mark.to_json(),))


def _finish(db: sqlite3.Connection) -> None:
    db.execute(f"DROP TABLE {MARK_TABLE}")
