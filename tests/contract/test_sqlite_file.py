"""What is special about a journal that is a SQLite file."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from eventbus.core.errors import JournalError, JournalFull, JournalLocked, JournalUnavailable
from eventbus.core.model import Event
from eventbus.core.records import Checkpoint, Recovered, Retry
from eventbus.journal.sqlite import SqliteJournal
from eventbus.journal.sqlite.queries import SqliteQueries
from eventbus.journal.sqlite.schema import APPLICATION_ID, MIGRATIONS
from eventbus.journal.sqlite.store import Store
from tests.support.events import message
from tests.support.lanes import EPOCH

ROOT = Path(__file__).parents[2]

#: Opens the journal it is told of and says how that went.
OPENS = """
import sys
sys.path.insert(0, {root!r})
from gevent import monkey
monkey.patch_all()
from eventbus.core.errors import JournalError
from eventbus.journal.sqlite import SqliteJournal
try:
    SqliteJournal({path!r}).open()
    print("opened")
except JournalError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "events.db"


def opened(path: Path, store: Store | None = None) -> SqliteJournal:
    """An open journal."""
    journal = SqliteJournal(str(path), store=store)
    journal.open()
    return journal


def refusal(path: Path) -> JournalError:
    """Why a journal cannot be opened."""
    journal = SqliteJournal(str(path))
    with pytest.raises(JournalError) as refused:
        journal.open()
    return refused.value


def assert_left_alone(path: Path, before: bytes) -> None:
    """The file is what it was to the byte, and nothing stands beside it."""
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def events(path: Path) -> list[str]:
    """The ids of the events in a closed journal."""
    with sqlite3.connect(path) as db:
        found = [row[0] for row in db.execute("SELECT id FROM events ORDER BY seq")]
    db.close()
    return found


# Who may open it


def test_a_second_process_is_refused(path: Path) -> None:
    """While one bus has the journal, another process is refused with a sentence that says why."""
    journal = opened(path)
    script = OPENS.format(root=str(ROOT), path=str(path))
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True, text=True)
    assert said.stdout.startswith("JournalLocked ")
    assert "in use by another process" in said.stdout
    journal.append([message("after")])
    journal.close()
    assert events(path) == ["after"]


def test_a_second_opener_in_one_process_is_refused(path: Path) -> None:
    """One process cannot open a journal twice either, and can once the first has closed it."""
    first = opened(path)
    assert isinstance(refusal(path), JournalLocked)
    first.append([message("still works")])
    first.close()
    opened(path).close()


def test_what_is_no_database_is_left_alone(path: Path) -> None:
    """A file that is no database is refused, and not a byte of it is changed."""
    before = b"These are somebody's notes, and no database.\n" * 200
    path.write_bytes(before)
    assert "is no SQLite database" in str(refusal(path))
    assert_left_alone(path, before)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_the_database_of_another_application_is_left_alone(path: Path, mode: str) -> None:
    """A database that is no journal is refused, and not a byte of it is changed."""
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA journal_mode = {mode}")
    db.execute("CREATE TABLE events (id TEXT)")
    db.commit()
    db.close()
    before = path.read_bytes()
    assert "no journal of an event bus" in str(refusal(path))
    assert_left_alone(path, before)


def test_a_journal_of_a_newer_version_is_left_alone(path: Path) -> None:
    """A journal that a newer version wrote is refused with both versions, and not a byte of it is changed."""
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    assert "newer version of eventbus (schema 99" in str(refusal(path))
    assert_left_alone(path, before)


@pytest.mark.parametrize("kind", ["folder missing", "folder", "file in the way"])
def test_a_path_that_cannot_be_a_journal_is_refused_with_a_sentence(tmp_path: Path, kind: str) -> None:
    """A journal in a folder that is not there, or whose path is taken, is refused by its path."""
    (tmp_path / "taken").write_bytes(b"")
    paths = {"folder missing": tmp_path / "no" / "e", "folder": tmp_path, "file in the way": tmp_path / "taken" / "e"}
    assert str(paths[kind]) in str(refusal(paths[kind]))


# How it is made


@pytest.mark.parametrize("owner", [0, APPLICATION_ID])
def test_a_database_of_version_0_becomes_a_journal(path: Path, owner: int) -> None:
    """An empty database is brought to the newest version, and marked as a journal."""
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA application_id = {owner}")
    db.execute("VACUUM")
    db.close()
    journal = opened(path)
    journal.append([message("a")])
    journal.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    assert events(path) == ["a"]


def test_a_journal_of_the_version_before_is_carried_on(path: Path) -> None:
    """What a journal of the first version has deferred is there in the newest one."""
    db = sqlite3.connect(path)
    db.executescript(MIGRATIONS[0])
    db.execute("INSERT INTO deferred VALUES ('a', 7, 0, 3, 1.5, 2.5, 500, 'no')")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    journal = opened(path)
    row = Retry("a", 7, 0, 3, 1.5, 2.5, 500, "no")
    assert journal.retries("a", by_seq=True, limit=9) == [row]
    journal.checkpoint(Checkpoint(EPOCH, 0, retries=(replace(row, attempts=4),)))
    journal.checkpoint(Checkpoint(EPOCH, 0, settled_retries=(("a", 7, 0),)))
    assert journal.retries("a", by_seq=True, limit=9) == []
    journal.close()


def test_a_key_of_the_version_before_is_any_content(path: Path) -> None:
    """An idempotency key that an older version kept says nothing of its event: the same key is a duplicate."""
    db = sqlite3.connect(path)
    for step in MIGRATIONS[:2]:
        db.executescript(step)
    db.execute("INSERT INTO idempotency VALUES ('k', 'a', 1.0)")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 2")
    db.commit()
    db.close()
    journal = opened(path)
    assert journal.append([message("b", b"whatever")], "k").ids == ("a",)
    journal.close()


FOREIGN = {
    "trigger": "CREATE TRIGGER evil AFTER INSERT ON events BEGIN DELETE FROM events; END",
    "view": "CREATE VIEW evil AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n",
    "view in a table's place": "DROP TABLE replays; CREATE VIEW replays AS SELECT 1 AS id",
    "view of the log's origin": "DROP TABLE log_origin; CREATE VIEW log_origin AS"
    " WITH RECURSIVE n(origin) AS (SELECT 1 UNION ALL SELECT origin + 1 FROM n) SELECT origin FROM n",
    "table": "CREATE TABLE evil (x)",
    "generated column": "DROP TABLE replays; CREATE TABLE replays (id TEXT, at AS (length(id)))",
}


@pytest.mark.parametrize("sql", FOREIGN.values(), ids=FOREIGN)
def test_a_file_with_more_than_a_journal_holds_is_refused(path: Path, sql: str) -> None:
    """Triggers, views and whatever else no journal has are named, before anything is read from the file."""
    journal = opened(path)
    journal.append([message("a")])
    journal.close()
    db = sqlite3.connect(path)
    db.executescript(sql)
    db.close()
    assert "which no journal has" in str(refusal(path))


def test_nobody_else_may_read_a_journal(path: Path) -> None:
    """The journal, its log and what stands beside it are for the owner alone, whatever the umask."""
    before = os.umask(0)
    try:
        journal = opened(path, Store(str(path), 2**30))
        journal.append([message("a")])
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        journal.close()
    finally:
        os.umask(before)
    assert f"{path.name}-wal" in modes
    assert set(modes.values()) == {0o600}


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """A file without a byte in it, as a volume may come with, becomes a journal."""
    path.write_bytes(b"")
    journal = opened(path)
    journal.append([message("a")])
    journal.close()
    assert events(path) == ["a"]


def test_a_database_in_another_encoding_gives_back_what_it_was_given(path: Path) -> None:
    """A blank UTF-16 database becomes a journal too; its pages hold what was published, though lists do not agree."""
    db = sqlite3.connect(path)
    db.executescript("PRAGMA encoding = 'UTF-16le'; CREATE TABLE a (b); DROP TABLE a; VACUUM;")
    db.close()
    journal = opened(path)
    bodies = [b'{"a":1}', b"odd", b"", b"\0\xff"]
    journal.append([message(str(number), body) for number, body in enumerate(bodies)])
    assert [event.body for event in journal.page(0, 9, 9, 10**9).events] == bodies
    journal.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA encoding").fetchone() == ("UTF-16le",)
    db.close()


def test_every_commit_is_on_disk_when_it_returns(path: Path) -> None:
    """Commits are written ahead and synced in full, by one connection that owns the file."""
    store = SpiedStore(str(path))
    journal = opened(path, store)
    pragmas = {name: store.pragma(name) for name in ("journal_mode", "synchronous", "locking_mode")}
    journal.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}


def test_a_closed_journal_is_one_file(path: Path) -> None:
    """After a clean close everything is in the one file, which can be copied."""
    journal = opened(path)
    journal.append([message("a")])
    journal.close()
    assert [other.name for other in path.parent.iterdir()] == [path.name]


# When it cannot be written


class FaultyConnection:
    """A connection on which statements fail while ``failing`` names how they begin."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.failing: str | None = None

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """See sqlite3.Connection.execute."""
        if self.failing is not None and sql.startswith(self.failing):
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


class SpiedStore(Store):
    """A store whose connection can be looked at, and made to fail."""

    def open(self) -> Recovered:
        """See Store.open."""
        recovered = super().open()
        self.faulty = FaultyConnection(self._db)
        self._db: Any = self.faulty
        self.queries = SqliteQueries(self._db)
        return recovered

    def pragma(self, name: str) -> Any:
        """One of the connection's settings."""
        return self.faulty.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.fixture
def store(path: Path) -> SpiedStore:
    """The store of ``journal``."""
    return SpiedStore(str(path))


@pytest.fixture
def journal(path: Path, store: SpiedStore) -> Iterator[SqliteJournal]:
    """An open journal that can be made to fail."""
    found = opened(path, store)
    yield found
    store.faulty.failing = None
    found.close()


@pytest.mark.parametrize("failing", ["BEGIN", "INSERT INTO events", "COMMIT"])
def test_a_commit_that_fails_acknowledges_nothing(journal: SqliteJournal, store: SpiedStore, failing: str) -> None:
    """When a commit fails, all its publishers are refused, nobody hears of it, and the next one succeeds."""
    heard: list[Event] = []
    journal.listen(heard.extend)
    journal.append([message("before")])
    store.faulty.failing = failing
    appends = [gevent.spawn(journal.append, [message(f"lost-{number}")], f"key-{number}") for number in range(10)]
    gevent.joinall(appends, timeout=30)
    assert all(isinstance(append.exception, JournalUnavailable) for append in appends)
    assert "nothing of this was kept" in str(appends[0].exception)
    store.faulty.failing = None
    assert not journal.append([message("after")], "key-0").duplicate
    assert [(event.seq, event.id) for event in heard] == [(1, "before"), (2, "after")]
    assert [event.id for event in journal.page(0, 99, 99, 10**9).events] == ["before", "after"]


def test_a_checkpoint_that_fails_keeps_nothing(journal: SqliteJournal, store: SpiedStore) -> None:
    """A checkpoint is saved whole or not at all."""
    store.faulty.failing = "UPDATE places"
    with pytest.raises(JournalUnavailable):
        journal.checkpoint(Checkpoint(EPOCH, 7))
    store.faulty.failing = None
    assert store.faulty.execute("SELECT seq FROM places").fetchone() == (0,)


def test_a_trim_that_fails_removes_nothing(journal: SqliteJournal, store: SpiedStore) -> None:
    """A trim that could not be committed has removed nothing, and can be made again."""
    journal.append([message("a")])
    store.faulty.failing = "COMMIT"
    with pytest.raises(JournalUnavailable):
        journal.trim([1], 0)
    store.faulty.failing = None
    assert journal.event("a") is not None
    assert journal.trim([1], 0) == 1


def test_a_read_that_fails_is_told_as_such(journal: SqliteJournal, store: SpiedStore) -> None:
    """A read that fails raises that the journal cannot be read, and the next one works."""
    journal.append([message("a")])
    store.faulty.failing = "SELECT"
    with pytest.raises(JournalUnavailable, match="cannot be read"):
        journal.event("a")
    store.faulty.failing = None
    assert journal.event("a") is not None


def test_a_full_disk_refuses_and_recovers(journal: SqliteJournal, store: SpiedStore) -> None:
    """When there is no room an append is refused as such and keeps nothing; with room again it succeeds."""
    journal.append([message("before")])
    store.faulty.execute(f"PRAGMA max_page_count = {store.pragma('page_count') + 2}")
    with pytest.raises(JournalFull, match="is full; nothing of this was kept"):
        journal.append([message("large", b"x" * 1_000_000)])
    journal.append([message("small")])
    store.faulty.execute("PRAGMA max_page_count = 1000000")
    journal.append([message("large", b"x" * 1_000_000)])
    assert [event.id for event in journal.page(0, 99, 99, 10**9).events] == ["before", "small", "large"]


# When its end was torn


def test_a_file_that_lost_its_last_bytes_has_lost_no_event(path: Path) -> None:
    """A file cut by up to 208 bytes is opened with everything in it, and it is said that it was mended."""
    journal = opened(path)
    for number in range(50):
        journal.append([message(f"id-{number}", b"x" * 3_000)])
    journal.close()
    whole = path.read_bytes()
    for missing in (1, 100, 208):
        path.write_bytes(whole[:-missing])
        journal = SqliteJournal(str(path))
        assert any(f"had lost {missing} bytes" in remark for remark in journal.open().remarks)
        assert [event.id for event in journal.page(0, 99, 99, 10**9).events] == [f"id-{n}" for n in range(50)]
        journal.close()
        assert len(path.read_bytes()) == len(whole)


#: Appends events to the journal it is told of, says so, and ends like a process that was killed.
ENDS_AT_ONCE = """
import os, sys
sys.path.insert(0, {root!r})
from gevent import monkey
monkey.patch_all()
from eventbus.journal.sqlite import SqliteJournal
from tests.support.events import message
journal = SqliteJournal({path!r})
journal.open()
for number in range(20):
    journal.append([message(f"id-{{number}}", b"x" * 2_000)])
os._exit(9)
"""


@pytest.mark.parametrize("cut", [1, 23, 24, 1_000, 4_119])
def test_a_log_torn_within_a_commit_drops_that_commit_alone(path: Path, cut: int) -> None:
    """When the end of the write-ahead log is torn, every commit before the torn one is there, and a remark says so."""
    script = ENDS_AT_ONCE.format(root=str(ROOT), path=str(path))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 9, ended.stderr.decode()
    log = Path(f"{path}-wal")
    log.write_bytes(log.read_bytes()[:-cut])
    journal = SqliteJournal(str(path))
    remarks = journal.open().remarks
    found = [event.id for event in journal.page(0, 99, 99, 10**9).events]
    journal.close()
    assert found == [f"id-{number}" for number in range(19)]
    assert any("ends within a commit" in remark for remark in remarks)
