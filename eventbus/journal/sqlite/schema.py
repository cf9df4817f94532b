"""The tables of a SQLite journal, and the migrations of older ones."""

import re
import sqlite3

#: Marks a file as a journal of ours ("evbu"), https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID = 0x65766275
#: The table with the mark of an unfinished copy.
MARK_TABLE = "unfinished_copy"

#: The migrations from each version to the next; the first makes an empty file a journal.
MIGRATIONS = (
    """
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        topic TEXT,
        head BLOB NOT NULL,
        body BLOB NOT NULL,
        at REAL NOT NULL
    );
    CREATE INDEX events_by_id ON events (id);

    CREATE TABLE lanes (
        key TEXT PRIMARY KEY,
        record TEXT NOT NULL,
        open INTEGER NOT NULL,
        ended_at REAL
    ) WITHOUT ROWID;
    CREATE INDEX lanes_by_end ON lanes (open, ended_at);

    CREATE TABLE deferred (
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        run INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        first_at REAL NOT NULL,
        due_at REAL NOT NULL,
        status INTEGER,
        error TEXT NOT NULL,
        PRIMARY KEY (key, seq, run)
    ) WITHOUT ROWID;
    CREATE INDEX deferred_by_due ON deferred (key, due_at);
    CREATE INDEX deferred_by_seq ON deferred (seq);

    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        run INTEGER NOT NULL,
        reason TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        first_at REAL,
        last_at REAL NOT NULL,
        status INTEGER,
        error TEXT NOT NULL,
        answer BLOB NOT NULL
    );
    CREATE INDEX dead_letters_by_key ON dead_letters (key, id);
    CREATE UNIQUE INDEX dead_letters_by_seq ON dead_letters (seq, key, run);
    CREATE INDEX dead_letters_by_time ON dead_letters (last_at);

    CREATE TABLE discards (key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, at REAL NOT NULL);
    CREATE INDEX discards_by_last ON discards (last);
    CREATE INDEX discards_by_time ON discards (at);

    CREATE TABLE idempotency (key TEXT PRIMARY KEY, ids TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX idempotency_by_time ON idempotency (at);

    CREATE TABLE places (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO places VALUES ('scanned', 0);
    """,
    """
    ALTER TABLE deferred ADD COLUMN replay TEXT NOT NULL DEFAULT '';
    ALTER TABLE deferred ADD COLUMN past_attempts INTEGER;
    ALTER TABLE deferred ADD COLUMN past_first_at REAL;

    CREATE TABLE replays (
        id TEXT PRIMARY KEY,
        at REAL NOT NULL,
        replayed INTEGER NOT NULL,
        delivered INTEGER NOT NULL DEFAULT 0,
        dead INTEGER NOT NULL DEFAULT 0,
        discarded INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX replays_by_time ON replays (at);
    """,
    "ALTER TABLE idempotency ADD COLUMN content TEXT NOT NULL DEFAULT ''",
    """
    ALTER TABLE dead_letters ADD COLUMN event_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE dead_letters ADD COLUMN topic TEXT;
    """,
    """
    ALTER TABLE events ADD COLUMN order_key TEXT NOT NULL DEFAULT '';
    ALTER TABLE dead_letters ADD COLUMN order_key TEXT NOT NULL DEFAULT '';
    ALTER TABLE deferred ADD COLUMN order_key TEXT;
    CREATE INDEX deferred_by_order_key ON deferred (key, order_key, seq, run);
    """,
    "ALTER TABLE replays ADD COLUMN filtered INTEGER NOT NULL DEFAULT 0",
    """
    ALTER TABLE dead_letters ADD COLUMN dead_to TEXT NOT NULL DEFAULT '';
    CREATE INDEX dead_letters_by_dead_to ON dead_letters (dead_to, id);
    """,
    """
    CREATE TABLE scheduled (
        number INTEGER PRIMARY KEY,
        due_at REAL NOT NULL,
        id TEXT NOT NULL,
        topic TEXT,
        head BLOB NOT NULL,
        body BLOB NOT NULL,
        at REAL NOT NULL,
        order_key TEXT NOT NULL
    );
    CREATE INDEX scheduled_by_due ON scheduled (due_at);
    CREATE INDEX scheduled_by_id ON scheduled (id);

    CREATE TABLE cancelled (number INTEGER PRIMARY KEY, id TEXT NOT NULL, at REAL NOT NULL);
    CREATE INDEX cancelled_by_id ON cancelled (id);

    ALTER TABLE idempotency ADD COLUMN due_at REAL;
    """,
    "ALTER TABLE deferred ADD COLUMN past_expires INTEGER NOT NULL DEFAULT 1",
)


#: Tables that a journal may have besides those of the migrations: SQLite's own, and temporary ones.
_OTHERS = frozenset({("table", "sqlite_sequence"), ("table", MARK_TABLE), ("table", "log_origin")})
_MADE = frozenset(
    (kind.lower(), name) for kind, name in re.findall(r"CREATE (?:UNIQUE )?(TABLE|INDEX) (\w+)", "".join(MIGRATIONS))
)
#: Words in the SQL of a table or an index with which SQLite would run code by itself.
_RUNS_BY_ITSELF = re.compile(r"\b(GENERATED|CHECK|VIRTUAL|WHERE|AS)\b", re.IGNORECASE)


def check_schema(db: sqlite3.Connection) -> None:
    """Raise ValueError if a file has tables, indexes, triggers or views that no journal has.

    Triggers and views would run in the bus's own statements. Nothing else is read before this check.
    """
    db.execute("PRAGMA trusted_schema = OFF")
    for kind, name, text in db.execute("SELECT type, name, sql FROM sqlite_master"):
        automatic = kind == "index" and text is None  # SQLite makes it for a key
        if not automatic and ((kind, name) not in _MADE | _OTHERS or _RUNS_BY_ITSELF.search(text or "")):
            raise ValueError(f"holds the {kind} {str(name)[:80]!r}, which no journal has")


def migrate(db: sqlite3.Connection) -> bool:
    """Migrate the journal to the newest version, one transaction a step; return whether anything was changed.

    A blank database is marked as a journal before all else, in the file itself: of a checkpoint that a power loss
    breaks off, the disk may hold any of the pages, and perhaps not the first.
    """
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT")
    return version < len(MIGRATIONS)


def copy_mark(db: sqlite3.Connection) -> str | None:
    """Return the mark of an unfinished copy as JSON; None for a journal."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (MARK_TABLE,)).fetchall():
        return None
    return str(db.execute(f"SELECT mark FROM {MARK_TABLE}").fetchone()[0])
