"""A SQLite journal's files: found through links, known from the first moment, and missed when they are gone."""

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from eventbus.core.errors import JournalError, JournalUnavailable
from eventbus.core.records import Checkpoint
from eventbus.journal.group_commit import Publish
from eventbus.journal.sqlite import file
from eventbus.journal.sqlite.schema import migrate
from eventbus.journal.sqlite.store import Store
from eventbus.journal.sqlite.wal_owner import mark_log
from tests.support.events import message
from tests.support.small_disk import why_not

#: Ways to cut what a power loss leaves of a checkpoint.
CUTS = 40


def append(store: Store, name: str) -> None:
    """Commit one event."""
    store.commit([Publish([message(name)], None)], [])


def opened(path: Path) -> Store:
    """An open journal."""
    store = Store(str(path))
    store.open()
    return store


def events(path: Path) -> list[str]:
    """The ids of the events that a bus would find there."""
    store = opened(path)
    found: list[str] = store.export(lambda db: [row[0] for row in db.execute("SELECT id FROM events ORDER BY seq")])
    store.close()
    return found


def log_of(path: Path) -> Path:
    """The write-ahead log beside a journal."""
    return path.with_name(f"{path.name}-wal")


# Links


@pytest.mark.parametrize("state", ["missing", "empty", "journal"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_is_followed(tmp_path: Path, state: str, relative: bool) -> None:
    """Whatever a link leads to is the journal, and the link stays a link."""
    (tmp_path / "shared").mkdir()
    target, link, chain = tmp_path / "shared" / "bus.db", tmp_path / "link.db", tmp_path / "chain.db"
    if state == "empty":
        target.touch()
    if state == "journal":
        opened(target).close()
    link.symlink_to(target.relative_to(tmp_path) if relative else target)
    chain.symlink_to(link)
    store = opened(chain)
    append(store, "kept")
    assert log_of(target).exists()
    store.close()
    assert (chain.is_symlink(), link.is_symlink()) == (True, True)
    assert events(target) == ["kept"]


def test_a_link_to_a_folder_that_is_missing_is_told_as_such(tmp_path: Path) -> None:
    """A link that leads to a folder which is not there is refused with that sentence."""
    (tmp_path / "bus.db").symlink_to(tmp_path / "missing" / "bus.db")
    with pytest.raises(JournalError, match="its folder does not exist"):
        opened(tmp_path / "bus.db")


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    """A loop of links is refused with a sentence."""
    (tmp_path / "bus.db").symlink_to(tmp_path / "bus.db")
    with pytest.raises(JournalError, match="cannot be opened"):
        opened(tmp_path / "bus.db")


# Creation


def test_whatever_of_the_first_checkpoint_reaches_the_disk_the_journal_opens(tmp_path: Path) -> None:
    """With any of the pages of the first checkpoint on disk, and the log whole, a journal opens with its events."""
    path = tmp_path / "bus.db"
    file.prepare(str(path))
    blank = path.read_bytes()
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "wal_autocheckpoint = 0"):
        db.execute(f"PRAGMA {pragma}")
    migrate(db)
    db.execute("INSERT INTO events VALUES (1, 'first', NULL, x'', x'', 1.0, '')")
    log = log_of(path).read_bytes()
    db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    pages = path.read_bytes()
    db.close()
    rng = random.Random(1)  # noqa: S311 - no secret
    for _ in range(CUTS):
        path.write_bytes(cut(blank, pages, rng))
        log_of(path).write_bytes(log)
        assert events(path) == ["first"]


def cut(blank: bytes, pages: bytes, rng: random.Random) -> bytes:
    """A file of which some pages were written, as long as the last of them."""
    numbers = range(len(pages) // file.PAGE_SIZE)
    written = [number for number in numbers if rng.random() < 0.5]
    length = (max(written, default=0) + 1) * file.PAGE_SIZE
    found = bytearray(blank.ljust(length, b"\0"))
    for number in written:
        place = slice(number * file.PAGE_SIZE, (number + 1) * file.PAGE_SIZE)
        found[place] = pages[place]
    return bytes(found)


def test_a_journal_is_whole_in_its_file_before_anything_is_accepted(tmp_path: Path) -> None:
    """The file alone, without its log, is an empty journal as soon as it is open."""
    path, copy = tmp_path / "bus.db", tmp_path / "copy.db"
    store = opened(path)
    shutil.copy(path, copy)
    store.close()
    file.check_kind(copy)
    assert events(copy) == []


def test_a_file_whose_creation_was_broken_off_becomes_a_journal(tmp_path: Path) -> None:
    """A first page of zeros, as a power loss may leave it, is an empty file."""
    path = tmp_path / "bus.db"
    path.write_bytes(bytes(file.PAGE_SIZE))
    store = opened(path)
    append(store, "kept")
    store.close()
    assert events(path) == ["kept"]


def test_a_new_journal_is_for_its_user_alone(tmp_path: Path) -> None:
    """Nobody else may read the journal or its log."""
    path = tmp_path / "bus.db"
    store = opened(path)
    append(store, "secret")
    modes = {name.stat().st_mode & 0o777 for name in (path, log_of(path))}
    store.close()
    assert modes == {0o600}


@pytest.mark.parametrize("left", ["-wal", "-journal"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_log_that_is_left_is_not_read_into_a_new_journal(tmp_path: Path, left: str, empty: bool) -> None:
    """A new journal beside the log of one that is gone is empty; the log is set aside, and that is remarked."""
    path = tmp_path / "bus.db"
    former = opened(path)
    append(former, "of another life")
    log = tmp_path / f"bus.db{left}"
    kept = log_of(path).read_bytes()
    former.close()
    log.write_bytes(kept)
    if empty:
        path.write_bytes(b"")
    else:
        path.unlink()
    store = Store(str(path))
    remarks = store.open().remarks
    store.close()
    assert events(path) == []
    (aside,) = tmp_path.glob(f"bus.db{left}.*")
    assert aside.read_bytes() == kept
    assert any(str(aside) in remark for remark in remarks)


# Mounts


def test_a_mounted_file_is_told_by_the_systems_list(tmp_path: Path) -> None:
    """A file is mounted by itself where the list of mounts has its own name, with the characters that it escapes."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "36 35 98:0 / /data rw,noatime master:1 - ext4 /dev/root rw\n"
        r"37 35 98:0 /a /data/my\040bus.db rw,noatime - ext4 /dev/root rw" + "\n"
    )
    assert file.is_mounted(Path("/data/my bus.db"), mounts)
    assert not file.is_mounted(Path("/data/bus.db"), mounts)
    assert not file.is_mounted(Path("/data/my bus.db"), tmp_path / "missing")


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_a_journal_that_is_mounted_without_its_folder_is_refused(tmp_path: Path) -> None:
    """A file that is a mount by itself is refused with the sentence what to mount instead."""
    path, host = tmp_path / "bus.db", tmp_path / "host.db"
    path.touch()
    host.touch()
    if subprocess.run(["mount", "--bind", str(host), str(path)], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(JournalError, match="mount the folder that holds it"):
            opened(path)
        assert host.read_bytes() == b""
    finally:
        subprocess.run(["umount", str(path)], check=True)


# While it is open


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "bus.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """An open journal with one event in it."""
    found = opened(path)
    append(found, "before")
    yield found
    found.close()


def delete(path: Path) -> None:
    """Delete the journal and its log."""
    path.unlink()
    log_of(path).unlink()


def replace(path: Path) -> None:
    """Put a copy in place of the journal, as a restore does."""
    shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


def replace_log(path: Path) -> None:
    """Put a copy in place of the log."""
    shutil.copy(log_of(path), path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(log_of(path))


def cut_journal(path: Path) -> None:
    """Cut the journal's file, as writing a backup over it does."""
    with path.open("r+b") as database:
        database.truncate(2 * file.PAGE_SIZE)


def overwrite_log(path: Path) -> None:
    """Write over the start of the log."""
    with log_of(path).open("r+b") as log:
        log.write(bytes(100))


LOSSES = [
    delete,
    lambda path: path.unlink(),
    replace,
    lambda path: log_of(path).unlink(),
    replace_log,
    cut_journal,
    overwrite_log,
]
NAMES = ["both", "journal", "journal replaced", "log", "log replaced", "journal cut", "log overwritten"]


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("lose", LOSSES, ids=NAMES)
def test_nothing_is_kept_in_files_that_are_gone(
    store: Store, path: Path, lose: Callable[[Path], object], looked: bool
) -> None:
    """From the first commit after the files were deleted or replaced, every publish and checkpoint is refused."""
    lose(path)
    if looked:
        assert str(path) in store.inspect().files
    for _ in range(2):
        with pytest.raises(JournalUnavailable, match="while the bus ran: nothing is accepted"):
            append(store, "after")
        with pytest.raises(JournalUnavailable, match="while the bus ran"):
            store.commit([], [Checkpoint(1.0, 1)])
    assert str(path) in store.inspect().files


def test_a_link_that_leads_elsewhere_is_missed(tmp_path: Path) -> None:
    """When the configured name leads to another file than the one that is open, nothing is accepted."""
    first, second, link = tmp_path / "first.db", tmp_path / "second.db", tmp_path / "bus.db"
    opened(second).close()
    link.symlink_to(first)
    store = opened(link)
    link.unlink()
    link.symlink_to(second)
    with pytest.raises(JournalUnavailable, match="replaced by another file"):
        append(store, "after")
    store.close()


def test_a_journal_that_comes_back_is_used_again(store: Store, path: Path) -> None:
    """Files that were moved away and back while nothing was published are accepted into again."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    assert "deleted or moved away" in store.inspect().files
    with pytest.raises(JournalUnavailable, match="nothing of this was kept"):
        append(store, "refused")
    aside.rename(path)
    assert store.inspect().files == ""
    append(store, "after")
    store.close()
    assert events(path) == ["before", "after"]
    store.connect()


def test_what_was_caught_in_between_is_written_to_no_more(store: Store, path: Path) -> None:
    """When an event may have gone into a file without a name, nothing is accepted though the file comes back."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    with pytest.raises(JournalUnavailable, match="whether this was kept is not known"):
        append(store, "unknown")
    aside.rename(path)
    assert store.inspect().files
    with pytest.raises(JournalUnavailable, match="until the bus is started again"):
        append(store, "refused")


def test_a_log_that_was_deleted_alone_loses_nothing(store: Store, path: Path) -> None:
    """What is in a log without a name is moved into the journal, before the process that has it ends."""
    log_of(path).unlink()
    store.inspect()
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    assert events(copy) == ["before"]


def test_a_log_that_was_cut_takes_nothing_more_and_spoils_no_journal(store: Store, path: Path) -> None:
    """What a commit has put behind the hole in a log is no success, and the journal's file stays sound."""
    store.close()
    store.open()
    for number in range(50):
        append(store, f"number {number}")
    with log_of(path).open("r+b") as log:
        log.truncate(0)
    with pytest.raises(JournalUnavailable, match="was cut or overwritten"):
        append(store, "unknown")
    with pytest.raises(JournalUnavailable, match="nothing of this was kept"):
        append(store, "refused")
    store.close()
    assert events(path)[:1] == ["before"]
    store.connect()


def test_the_log_of_a_journal_that_was_replaced_by_its_copy_stays(store: Store, path: Path) -> None:
    """When a copy has taken the journal's place, what is in the log goes with the copy, also after a clean stop."""
    replace(path)
    assert "was replaced by another file" in store.inspect().files
    store.close()
    assert events(path) == ["before"]
    store.connect()


# Whose the log is

#: Events that fill a log several times over, and bytes in each.
MANY, LARGE = 60, 300_000


def killed(path: Path, *names: str, size: int = 1) -> None:
    """Leave a journal as a process does that opens it, appends, and is killed."""
    source = path.with_name("killed") / path.name
    source.parent.mkdir()
    for name in (path, log_of(path)):
        if name.exists():
            shutil.copy(name, source.with_name(name.name))
    store = opened(source)
    for name in names:
        store.commit([Publish([message(name, b"x" * size)], None)], [])
    for name in (source, log_of(source)):
        shutil.copy(name, path.with_name(name.name))
    store.close()
    shutil.rmtree(source.parent)


@pytest.mark.parametrize("lives", [1, 3])
@pytest.mark.parametrize("size", [1, LARGE])
def test_a_log_that_a_kill_has_left_is_the_journals_own(path: Path, lives: int, size: int) -> None:
    """However often a process was killed, and its log begun anew, the journal opens with every event."""
    names = [f"{life}-{number}" for life in range(lives) for number in range(MANY)]
    for life in range(lives):
        killed(path, *names[life * MANY : (life + 1) * MANY], size=size)
    assert events(path) == names


def test_a_journal_that_was_closed_and_killed_by_turns_opens(path: Path) -> None:
    """A log that begins after a clean end is the journal's own, too."""
    for name in ("a", "b", "c"):
        killed(path, name)
        opened(path).close()
    killed(path, "d")
    assert events(path) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("of", ["another journal", "a later time", "an earlier time"])
def test_a_log_of_another_life_is_not_read(tmp_path: Path, path: Path, of: str) -> None:
    """Beside a log of another journal, or of another time of its own, a journal is refused, and both are left."""
    copy = tmp_path / "copy.db"
    killed(path, "first")
    opened(path).close()
    shutil.copy(path, copy)
    if of == "another journal":
        other = tmp_path / "other.db"
        killed(other, "foreign")
        shutil.copy(log_of(other), log_of(path))
    elif of == "a later time":
        killed(path, "later")
        shutil.copy(copy, path)
    else:
        killed(path, "later")
        log = log_of(path).read_bytes()
        opened(path).close()
        opened(path).close()
        log_of(path).write_bytes(log)
    before = path.read_bytes(), log_of(path).read_bytes()
    with pytest.raises(JournalError, match="do not belong together"):
        opened(path)
    assert (path.read_bytes(), log_of(path).read_bytes()) == before
    log_of(path).rename(tmp_path / "aside")
    assert "first" in events(path)


def test_a_crash_while_the_log_becomes_known_refuses_nothing(path: Path) -> None:
    """Whichever step of it was the last, what is left opens, after a clean end as well as the first time."""
    killed(path, "kept")
    opened(path).close()
    for last in range(1, 12):
        killed_at(path, last)
        copy = path.with_name("copy.db")
        for name, target in ((path, copy), (log_of(path), log_of(copy))):
            target.unlink(missing_ok=True)
            if name.exists():
                shutil.copy(name, target)
        assert events(copy) == ["kept"], last
    opened(path).close()


class CutShort(Exception):
    """The process is killed here."""


def killed_at(path: Path, last: int) -> None:
    """Make the log known, but for what comes after so many statements; leave what is on disk then."""
    source = path.with_name("cut.db")
    shutil.copy(path, source)
    log_of(source).unlink(missing_ok=True)
    db = sqlite3.connect(source, isolation_level=None, factory=cutting(last))
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL"):
        sqlite3.Connection.execute(db, f"PRAGMA {pragma}")
    with suppress(CutShort):
        mark_log(db, str(source))
    for name, target in ((source, path), (log_of(source), log_of(path))):
        shutil.copy(name, target)
    db.close()


def cutting(last: int) -> type[sqlite3.Connection]:
    """A connection that runs so many statements."""
    left = [last]

    class Cutting(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            if not left[0]:
                raise CutShort
            left[0] -= 1
            return super().execute(sql, *values)

    return Cutting
