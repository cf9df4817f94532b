"""Whose a write-ahead log is: SQLite reads whatever log stands beside a database, also that of an older or newer copy.

A log's header has two numbers that rise together each time the log is begun anew: how often that was, and a salt that
was random at first. Their difference is the log's origin, which stays the same for as long as the log does. A journal
keeps the origin of its log in its own file before it accepts anything, so that a log of another origin is not its own.
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
    """The origin of a log, and how often it was begun anew; None where it holds nothing. Raises OSError."""
    if not log.is_file():
        return None
    with log.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    magic, _, _, begun, salt, _ = _HEADER.unpack(head)
    return ((salt - begun) % 2**32, begun) if magic in _MAGICS else None


def check_log(path: str) -> int | None:
    """Answer the origin that a journal and the log beside it share, None where they share none yet.

    Raises ValueError where the log is of another journal, or of another time of this one, and OSError. A log that was
    never begun anew holds nothing that was accepted, or was written before origins were kept.
    """
    found = log_origin(Path(f"{path}-wal"))
    if found is None or not found[1]:
        return None
    kept = _kept(path)
    if kept is not None and kept != found[0]:
        raise ValueError(
            f"and the write-ahead log {path}-wal do not belong together, since one of them was replaced: put back the"
            " one that is missing, or move the log away to start without what is only in it"
        )
    return kept


def mark_log(db: sqlite3.Connection, path: str) -> int:
    """Keep the origin of the log in the journal's file; answers it. Raises sqlite3.Error and OSError.

    First that there is none, so that whatever a crash leaves in between, no log is taken for a foreign one.
    """
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE IF NOT EXISTS log_origin (origin INTEGER)")
    db.execute("DELETE FROM log_origin")
    db.execute("INSERT INTO log_origin VALUES (NULL)")
    db.execute("COMMIT")
    _empty(db)
    db.execute("UPDATE log_origin SET origin = -1")  # something else than before, or nothing is written
    found = log_origin(Path(f"{path}-wal"))
    if found is None or not found[1]:
        raise sqlite3.OperationalError(f"the write-ahead log {path}-wal has no header")
    db.execute("UPDATE log_origin SET origin = ?", (found[0],))
    _empty(db)
    return found[0]


def _empty(db: sqlite3.Connection) -> None:
    """Move all that is in the log into the journal's file, and begin it anew."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("the write-ahead log cannot be emptied")


def _kept(path: str) -> int | None:
    """The origin that a journal's file keeps, read without its log; None where it keeps none.

    Only while this process has no other connection to it: closing this one lets go of that one's locks.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            check_schema(db)
            row = db.execute("SELECT max(origin) FROM log_origin").fetchone()
    except sqlite3.Error:
        return None  # a file that is not complete without its log keeps none
    return None if row[0] is None or row[0] < 0 else int(row[0])
