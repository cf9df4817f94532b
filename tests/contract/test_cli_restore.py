"""What ``eventbus restore`` takes, what it refuses, and what becomes of the former journal."""

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.cli.program import program
from eventbus.core.errors import Conflict
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message
from eventbus.journal.copy.copying import Mark
from eventbus.journal.sqlite.copy_adapter import SqliteCopying
from eventbus.journal.sqlite.file import PAGE_SIZE
from eventbus.journal.sqlite.journal import SqliteJournal
from eventbus.journal.sqlite.schema import MIGRATIONS

NEVER = 1_800_000_000.0


def journal_at(path: Path, events: int) -> list[str]:
    """A closed journal with so many events; their ids."""
    journal = SqliteJournal(str(path))
    journal.open()
    messages = [Message(new_event_id(), "t", b"", b"x" * 3_000, NEVER) for _ in range(events)]
    ids = [id_ for message in messages for id_ in journal.append([message]).ids]
    journal.close()
    return ids


def ids_in(path: Path) -> list[str]:
    """The ids of a journal's events, in order."""
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT id FROM events ORDER BY seq")]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup, made as the bus makes one."""
    source = tmp_path / "source"
    source.mkdir()
    journal_at(source / "bus.db", 20)
    journal = SqliteJournal(str(source / "bus.db"))
    journal.open()
    made = journal.backup(lambda: True)
    with made.file:
        (tmp_path / "backup.db").write_bytes(made.file.read())
    journal.close()
    assert not (source / "bus.db-backup").exists()
    assert (made.last_seq, made.counts["events"]) == (20, 20)
    return tmp_path / "backup.db"


def restore(backup: Path, journal: Path, *options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(program, ["restore", str(backup), "--journal", str(journal), *options])


def files_in(folder: Path) -> set[str]:
    """The names of the files that are there."""
    return {path.name for path in folder.iterdir()}


def test_a_backup_becomes_a_journal(backup: Path, tmp_path: Path) -> None:
    """With the same events, for its owner alone; the backup stays, and a journal opens on it."""
    place = tmp_path / "new"
    place.mkdir()
    done = restore(backup, place / "bus.db", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["former"], told["last_seq"], told["rows"]["events"]) == (None, 20, 20)
    assert files_in(place) == {"bus.db"}
    assert stat.S_IMODE((place / "bus.db").stat().st_mode) == 0o600
    assert ids_in(place / "bus.db") == ids_in(backup)
    journal = SqliteJournal(str(place / "bus.db"))
    assert journal.open().last_seq == 20
    journal.close()


def test_a_journal_that_is_there_stays_without_force(backup: Path, tmp_path: Path) -> None:
    """With force it is kept under another name, with its log."""
    place = tmp_path / "new"
    place.mkdir()
    former = journal_at(place / "bus.db", 3)
    (place / "bus.db-wal").write_bytes(b"log")
    refused = restore(backup, place / "bus.db")
    assert refused.exit_code == 1
    assert "with --force it is kept" in refused.stderr
    assert files_in(place) == {"bus.db", "bus.db-wal"}
    done = restore(backup, place / "bus.db", "--force", "--json")
    assert done.exit_code == 0, done.stderr
    aside = Path(json.loads(done.stdout)["former"])
    assert files_in(place) == {"bus.db", aside.name, f"{aside.name}-wal"}
    assert Path(f"{aside}-wal").read_bytes() == b"log"
    Path(f"{aside}-wal").unlink()
    assert ids_in(aside) == former
    assert len(ids_in(place / "bus.db")) == 20


def test_an_empty_file_is_no_journal(backup: Path, tmp_path: Path) -> None:
    """As a new volume may have one: nothing is kept of it."""
    (tmp_path / "bus.db").touch()
    assert restore(backup, tmp_path / "bus.db").exit_code == 0
    assert len(ids_in(tmp_path / "bus.db")) == 20


def no_file(path: Path) -> None:
    """Remove it."""
    path.unlink()


def text_file(path: Path) -> None:
    """Write something else into it."""
    path.write_text("no database " * 1_000)


def other_database(path: Path) -> None:
    """Replace it by another program's."""
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (name)")
        db.commit()


def empty_database(path: Path) -> None:
    """Replace it by a database without tables."""
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM")


def cut(path: Path) -> None:
    """Cut it at half of its length, as a transfer that broke off."""
    os.truncate(path, path.stat().st_size // 2 // PAGE_SIZE * PAGE_SIZE)


def overwritten(path: Path) -> None:
    """Overwrite a page in its middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // PAGE_SIZE * PAGE_SIZE)
        file.write(b"\xff" * PAGE_SIZE)


def newer(path: Path) -> None:
    """Mark it as made by a version of the future."""
    with path.open("r+b") as file:
        file.seek(60)
        file.write((len(MIGRATIONS) + 1).to_bytes(4, "big"))


def unfinished(path: Path) -> None:
    """Make it a copy that was not finished."""
    copying = SqliteCopying(str(path))
    copying.open(create=False)
    copying.begin(Mark("redis://elsewhere", copying.extent()))
    copying.close()


def with_trigger(path: Path) -> None:
    """Add what would run by itself."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END")
        db.commit()


def with_log(path: Path) -> None:
    """Put a log beside it."""
    shutil.copy(path, f"{path}-wal")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (no_file, "is no file"),
        (text_file, "is no SQLite database"),
        (other_database, "no journal of an event bus"),
        (empty_database, "no journal of an event bus"),
        (cut, "damaged|malformed"),
        (overwritten, "damaged|malformed"),
        (newer, "newer version of eventbus"),
        (unfinished, "unfinished copy of redis://elsewhere"),
        (with_trigger, "holds the trigger"),
        (with_log, "has a write-ahead log beside it"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
def test_what_is_no_sound_backup_is_refused(
    change: Callable[[Path], None], reason: str, force: tuple[str, ...], backup: Path, tmp_path: Path
) -> None:
    """With the reason; the journal that is there stays as it is, and nothing is left beside it."""
    place = tmp_path / "new"
    place.mkdir()
    former = journal_at(place / "bus.db", 3) if force else None
    change(backup)
    done = restore(backup, place / "bus.db", *force)
    assert done.exit_code == 1, done.output
    assert any(part in done.stderr for part in reason.split("|")), done.stderr
    assert files_in(place) == ({"bus.db"} if force else set())
    assert former is None or ids_in(place / "bus.db") == former


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://localhost:1/0", "EVENTBUS_JOURNAL is on Redis"),
        ("sqlite:///:memory:", "ends with its process"),
        ("bus.db", "EVENTBUS_JOURNAL must be sqlite:///PATH"),
    ],
)
def test_the_journal_of_the_settings_is_a_file(
    url: str, reason: str, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is a wrong command line."""
    monkeypatch.setenv("EVENTBUS_JOURNAL", url)
    done = CliRunner().invoke(program, ["restore", str(backup)])
    assert (done.exit_code, reason in done.stderr) == (2, True), done.stderr


def test_a_journal_in_memory_has_no_backup() -> None:
    """It says so."""
    journal = SqliteJournal(":memory:")
    journal.open()
    with pytest.raises(Conflict, match="in memory"):
        journal.backup(lambda: True)
    journal.close()
