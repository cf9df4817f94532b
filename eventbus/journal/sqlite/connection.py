"""Opens the one connection that owns a SQLite journal, and sets it up: WAL, durability, schema."""

import sqlite3

from eventbus.journal.sqlite import file
from eventbus.journal.sqlite.address_spelling import respell
from eventbus.journal.sqlite.disk import WAL_PAGES
from eventbus.journal.sqlite.schema import check_schema, migrate


def connect(path: str) -> sqlite3.Connection:
    """Open the database and own its file: WAL without shared memory, durable at every commit, today's schema.

    Raises sqlite3.Error, and JournalError for a file that is no journal.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=0)
    try:
        _set_up(db)
    except BaseException:
        db.close()
        raise
    return db


def _set_up(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    check_schema(db)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {2 * WAL_PAGES * file.PAGE_SIZE}")
    db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("PRAGMA secure_delete = FAST")  # or each page of what is removed is written once more
    db.execute("BEGIN IMMEDIATE")
    db.execute("COMMIT")
    if migrate(db):  # nothing has been accepted yet: what it is made of is in the file before something is
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    respell(db)
