"""How much room is kept back on a disk, and how much of it the write-ahead log may need."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from eventbus.core.errors import JournalFull, JournalUnavailable
from eventbus.journal.sqlite.disk import MIN_WAL_PAGES, WAL_PAGES, Disk, wal_pages
from eventbus.journal.sqlite.disk_reserve import MAX_BYTES, MIN_BYTES, reserve_size
from eventbus.journal.sqlite.file import PAGE_SIZE
from eventbus.journal.sqlite.store import MEMORY, Store
from tests.support.faulty_sqlite import sqlite_error

MIB, GIB = 1_048_576, 1_073_741_824


@pytest.mark.parametrize(
    ("free", "max_bytes", "size"),
    [
        (100 * GIB, GIB, 16 * MIB),
        (100 * GIB, 2**50, MAX_BYTES),
        (100 * GIB, 256 * MIB, 4 * MIB),
        (100 * GIB, MIB, MIN_BYTES),
        (8 * MIB, GIB, MIB),
        (2 * MIN_BYTES, GIB, MIN_BYTES),
        (2 * MIN_BYTES - 1, GIB, 0),
        (0, GIB, 0),
    ],
)
def test_a_reserve_is_a_share_of_the_limit_and_of_the_room(free: int, max_bytes: int, size: int) -> None:
    """It is a 64th of the limit and an eighth of what is free, within bounds, and leaves as much to publish into."""
    assert reserve_size(free, max_bytes) == size


def test_what_was_given_up_is_taken_back_whole() -> None:
    """The room that was just given up is not enough to take a smaller reserve of it, again and again."""
    assert reserve_size(MIB, GIB, least=MIB) == 0
    assert reserve_size(2 * MIB, GIB, least=MIB) == MIB


@pytest.mark.parametrize("reserve", [MIN_BYTES, MIB, 4 * MIB, MAX_BYTES])
def test_the_log_fits_twice_into_the_reserve(reserve: int) -> None:
    """All pages of a log that is due to be emptied, and as much again, find room in the reserve."""
    pages = wal_pages(reserve)
    assert MIN_WAL_PAGES <= pages <= WAL_PAGES
    assert 2 * pages * PAGE_SIZE <= reserve


def test_a_journal_in_memory_has_no_disk() -> None:
    """A journal that ends with the process keeps no room back, whatever its limit."""
    store = Store(MEMORY, max_bytes=GIB)
    store.open()
    assert store.usage().max_bytes is None
    assert not store.inspect().full
    store.close()


class Quota:
    """What the system says to who asks for room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: int | None = None
        self._allocate = os.posix_fallocate
        monkeypatch.setattr(os, "posix_fallocate", self._asked)

    def _asked(self, descriptor: int, start: int, size: int) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        self._allocate(descriptor, start, size)


@pytest.fixture
def quota(monkeypatch: pytest.MonkeyPatch) -> Quota:
    """What the system says, which is nothing until a test says so."""
    return Quota(monkeypatch)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_counts_as_a_full_disk(tmp_path: Path, quota: Quota, error: int) -> None:
    """Where SQLite cannot write and the system has no room, the disk is full, and the reserve is given up."""
    disk, db = opened(tmp_path)
    quota.error = error
    assert isinstance(disk.failed(sqlite_error("SQLITE_IOERR_WRITE")), JournalFull)
    assert not (tmp_path / "bus.db-reserve").exists()
    with pytest.raises(JournalFull):
        disk.admit(1)
    quota.error = None
    disk.admit(1)
    assert (tmp_path / "bus.db-reserve").stat().st_size == MAX_BYTES
    db.close()


@pytest.mark.parametrize("error", [None, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_is_not_full(tmp_path: Path, quota: Quota, error: int | None) -> None:
    """A write that fails for another reason gives no room away, and is told as such."""
    disk, db = opened(tmp_path)
    quota.error = error
    assert isinstance(disk.failed(sqlite_error("SQLITE_IOERR_WRITE")), JournalUnavailable)
    assert (tmp_path / "bus.db-reserve").stat().st_size == MAX_BYTES
    disk.admit(1)
    db.close()


def test_where_no_room_can_be_kept_back_events_are_accepted(tmp_path: Path, quota: Quota) -> None:
    """A system that refuses a reserve for another reason than room is told of, and publishing goes on."""
    quota.error = errno.EOPNOTSUPP
    disk, db = opened(tmp_path)
    disk.admit(1_000_000)
    state = disk.inspect()
    assert (state.full, "not supported" in state.reserve) == (False, True)
    assert not (tmp_path / "bus.db-reserve").exists()
    db.close()


def opened(folder: Path) -> tuple[Disk, sqlite3.Connection]:
    """A disk with a journal on it, which has a reserve where the system lets it."""
    path = folder / "bus.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE one (value)")
    disk = Disk(str(path), GIB)
    disk.begin(str(path), db)
    return disk, db
