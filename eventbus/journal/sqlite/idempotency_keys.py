"""The idempotency keys of a SQLite journal: their number and bytes, and which expire first."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from eventbus.core.errors import KeyReused
from eventbus.journal.base import IDEMPOTENCY_SECONDS, KEY_OVERHEAD, MAX_IDEMPOTENCY_KEYS, Appended
from eventbus.journal.group_commit import Publish, PublishResult

#: Keys that are removed in one commit, at most.
PAGE_KEYS = 1_000
_SIZE = f"length(key) + length(ids) + {KEY_OVERHEAD}"


@dataclass(frozen=True, slots=True)
class KeyTotals:
    """How many keys there are, and the bytes that they take."""

    count: int = 0
    size: int = 0

    def plus(self, count: int, size: int) -> "KeyTotals":
        """Return the totals with so many more."""
        return KeyTotals(self.count + count, self.size + size)

    def over(self, max_bytes: int | None) -> bool:
        """Return whether the oldest have to be removed before their day is over."""
        return self.count > MAX_IDEMPOTENCY_KEYS or (max_bytes is not None and self.size > max_bytes)


def key_totals(db: sqlite3.Connection) -> KeyTotals:
    """Count the keys in the journal."""
    return KeyTotals(*db.execute(f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM idempotency").fetchone())


def find_key(db: sqlite3.Connection, key: str, content: str) -> PublishResult | None:
    """Return the result of a publish under this key; None if the key is new."""
    row = db.execute("SELECT ids, content, due_at FROM idempotency WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    if row[1] not in ("", content):
        return KeyReused()
    return Appended(tuple(row[0].split("\n")), duplicate=True, due_at=row[2])


def remember_key(db: sqlite3.Connection, key: str, ids: Sequence[str], publish: Publish) -> int:
    """Save the key of a publish; return the bytes that it takes."""
    at = publish.messages[0].accepted_at if publish.messages else 0.0
    joined = "\n".join(ids)
    db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?, ?)", (key, joined, at, publish.content, publish.due_at))
    return len(key) + len(joined) + KEY_OVERHEAD


def expired_keys(
    db: sqlite3.Connection, totals: KeyTotals, wall: float, max_bytes: int | None
) -> tuple[list[str], KeyTotals]:
    """Return the oldest keys that are past their day or beyond the limits, and the totals without them."""
    expired: list[str] = []
    for key, at, size in db.execute(f"SELECT key, at, {_SIZE} FROM idempotency ORDER BY at LIMIT {PAGE_KEYS}"):
        if at >= wall - IDEMPOTENCY_SECONDS and not totals.over(max_bytes):
            break
        expired.append(key)
        totals = totals.plus(-1, -size)
    return expired, totals
