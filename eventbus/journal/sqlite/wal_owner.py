"""Checks that a write-ahead log belongs to the database: SQLite reads any log beside it, even that of another copy.

A log's header has two numbers that rise together each time the log starts again: how often it did, and a salt that was
random at first. Their difference is the log's origin, which never changes. A journal saves the origin of its log in its
own file before it accepts anything. A log with another origin belongs to another database.
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from eventbus.journal.sqlite.schema import check_schema

_MAGICS = (0x377F0682, 0x377F0683)
_HEADER = struct.Struct(">IIIIII8x")


def log_origin(log: Path) -> tuple[int, int] | None:
    """Return the origin of a log, and how often it has started again; None if it is empty. Raises OSError."""
    if not log.is_file():
        return None
    with log.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    magic, _, _, begun, salt, _ = _HEADER.unpack(head)
    return ((salt - begun) % 2**32, begun) if magic in _MAGICS else None


def check_log(path: str) -> int | None:
    """Return the origin that a journal and the log beside it share; None if the journal has none yet.

    Raises OSError, and ValueError if the log belongs to another journal, or to another copy of this one. A log that has
    never started again holds nothing that was accepted, or is older than origins.
    """
    found = log_origin(Path(f"{path}-wal"))
    if found is None or not found[1]:
        return None
    saved = _saved_origin(path)
    if saved is not None and saved != found[0]:
        raise ValueError(
            f"and the write-ahead log {path}-wal do not belong together, since one of them was replaced: put back the"
            " one that is missing, or move the log away to start without what is only in it"
        )
    return saved


def mark_log(db: sqlite3.Connection, path: str) -> int:
    """Save the origin of the log in the journal's file, and return it. Raises sqlite3.Error and OSError.

    First it saves that there is none. So a crash in between leaves no origin that the log does not have.
    """
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE IF NOT EXISTS log_origin (origin INTEGER)")
    db.execute("DELETE FROM log_origin")
    db.execute("INSERT INTO log_origin VALUES (NULL)")
    db.execute("COMMIT")
    _empty(db)
    db.execute("UPDATE log_origin SET origin = -1")  # another value than before, or SQLite writes nothing
    found = log_origin(Path(f"{path}-wal"))
    if found is None or not found[1]:
        raise sqlite3.OperationalError(f"the write-ahead log {path}-wal has no header")
    db.execute("UPDATE log_origin SET origin = ?", (found[0],))
    _empty(db)
    return found[0]


def _empty(db: sqlite3.Connection) -> None:
    """Move the log into the journal's file, so that the log starts again."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("the write-ahead log cannot be emptied")


def _saved_origin(path: str) -> int | None:
    """Return the origin in a journal's file, read without its log; None if there is none.

    This process must have no other connection to the file: closing this one would release that one's locks.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            check_schema(db)
            row = db.execute("SELECT max(origin) FROM log_origin").fetchone()
    except sqlite3.Error:
        return None  # the file is not complete without its log
    return None if row[0] is None or row[0] < 0 else int(row[0])
