"""Updates lanes that an older version stored under another spelling of their address."""

import json
import logging
import sqlite3

from eventbus.core.addresses import parse_address
from eventbus.core.target_path import PATH_MARK

log = logging.getLogger(__name__)

#: Tables with a lane's key.
_TABLES = ("lanes", "deferred", "dead_letters", "discards")


def respell(db: sqlite3.Connection) -> None:
    """Rename lanes to the normalised spelling of their address, in all tables.

    If both spellings have a lane, both stay: nobody renews the one with the old spelling, and it expires. If there is
    no room for the change, the next start tries again.
    """
    spelled = "SELECT key, record FROM lanes WHERE instr(key, '%') AND NOT instr(key, ?)"
    rows = db.execute(spelled, (PATH_MARK,)).fetchall()  # no older version had target paths
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
    """Rename a lane, unless there is one with the new key."""
    if db.execute("SELECT 1 FROM lanes WHERE key = ?", (new,)).fetchone() is not None:
        return
    for table in _TABLES:
        db.execute(f"UPDATE {table} SET key = ? WHERE key = ?", (new, old))
    db.execute("UPDATE lanes SET record = ? WHERE key = ?", (json.dumps(json.loads(record) | {"key": new}), new))
