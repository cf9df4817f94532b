"""Brings lanes of a version that spelt some addresses otherwise under the spelling of today."""

import json
import logging
import sqlite3

from eventbus.core.addresses import parse_address

log = logging.getLogger(__name__)

#: Where a lane's key stands.
_TABLES = ("lanes", "deferred", "dead_letters", "discards")


def respell(db: sqlite3.Connection) -> None:
    """Give each lane its address's one spelling, with all that refers to it.

    Where both spellings have a lane, they stay two: the one with the old spelling is renewed by nobody, and ends. So it
    is where the journal has no room for this; it is tried again at the next start.
    """
    rows = db.execute("SELECT key, record FROM lanes WHERE instr(key, '%')").fetchall()
    moves = [(old, new, record) for old, record in rows if (new := parse_address(old).key) != old]
    if not moves:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for old, new, record in moves:
            _move(db, old, new, record)
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        log.warning("%d addresses keep the spelling of an older version: %s", len(moves), error)


def _move(db: sqlite3.Connection, old: str, new: str, record: str) -> None:
    """Give a lane another key, unless that has one."""
    if db.execute("SELECT 1 FROM lanes WHERE key = ?", (new,)).fetchone() is not None:
        return
    for table in _TABLES:
        db.execute(f"UPDATE {table} SET key = ? WHERE key = ?", (new, old))
    db.execute("UPDATE lanes SET record = ? WHERE key = ?", (json.dumps(json.loads(record) | {"key": new}), new))
