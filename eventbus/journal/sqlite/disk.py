"""What the disk under a journal allows: there is room, or some was kept back, and the files are where they were."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from eventbus.errors import JournalError, JournalFull
from eventbus.journal.sqlite.failures import FULL, NOT_FOR_SO_MUCH, writing_error
from eventbus.journal.sqlite.file import PAGE_SIZE
from eventbus.journal.sqlite.reserve import Reserve, free_bytes
from eventbus.journal.sqlite.watched import WatchedFiles

#: Pages in the write-ahead log at which SQLite moves them into the database: at most, and at least.
WAL_PAGES, LEAST_WAL_PAGES = 2_000, 16

T = TypeVar("T")


def wal_pages(reserve: int) -> int:
    """Pages that the log may hold, so that a reserve of these bytes has room for all of them in the database."""
    return max(LEAST_WAL_PAGES, min(WAL_PAGES, reserve // 2 // PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class DiskState:
    """What was found at a look: sentences that are empty where all is well."""

    files: str = ""  # what became of the journal's files
    reserve: str = ""  # why no room can be kept back
    full: bool = False


class Disk:
    """Decides what is written to a full disk, and refuses to write to files that have been deleted or replaced.

    The rule that keeps a full disk from being a dead end: no event is accepted unless there is a reserve, on the disk
    or as free pages in the database. So there is always room for the log's pages in the database, whereupon the log is
    begun anew, and what is settled can be removed.
    """

    def __init__(self, real: str, max_bytes: int) -> None:
        self._real = real
        self._reserve = Reserve(real, max_bytes)
        self._files: WatchedFiles | None = None

    def begin(self, name: str, db: sqlite3.Connection) -> None:
        """Watch the files of an open journal, and keep room back."""
        self._db = db
        self._files = WatchedFiles(name, self._real)
        self._reserve.find()
        self._keep_back()

    def check(self) -> None:
        """Raise JournalUnavailable where the files were not there at the last look."""
        if self._files is not None:
            self._files.check()

    def confirm(self, *, events: bool) -> None:
        """Raise JournalUnavailable where the files are not there now; ``events`` where some were just written."""
        if self._files is not None:
            self._files.confirm(events=events)

    def look(self) -> DiskState:
        """Look at the files, and keep room back again where there is some. Once a second."""
        if self._files is None:
            return DiskState()
        files = self._files.look()
        if files and self._files.lacks_log_alone():
            self._empty_log()  # before it is gone for good
        if not files:
            self._keep_back()
        return DiskState(files, self._reserve.trouble, self._reserve.lacking)

    def admit(self, size: int) -> None:
        """Raise JournalFull where events of so many bytes could fill the disk for good."""
        if self._reserve.held:
            if size > self._reserve.held // 4 and free_bytes(self._real) < 3 * size:
                raise JournalFull(NOT_FOR_SO_MUCH)
        elif self._reserve.lacking and self._free_pages() < self._reserve.size + 2 * size and not self._keep_back():
            raise JournalFull(FULL)

    def failed(self, error: sqlite3.Error) -> JournalError:
        """What a write that failed means, after it was rolled back. On a full disk the reserve is given up."""
        told = writing_error(error)
        named = getattr(error, "sqlite_errorname", "") or ""
        if named.startswith("SQLITE_IOERR") and self._files is not None and self._reserve.is_disk_full():
            told = JournalFull(FULL)  # a quota: SQLite does not tell it from a disk that fails
        if isinstance(told, JournalFull) and self._reserve.give_up():
            self._empty_log()
        return told

    def on_reserve(self, write: Callable[..., T], *values: object) -> T:
        """Write, and once more where the reserve was given up for it."""
        held = self._reserve.held
        try:
            return write(*values)
        except JournalFull:
            if not held:
                raise
            return write(*values)

    def most_bytes(self) -> int | None:
        """Bytes that the journal may hold on a full disk; None where it is not full, or where that helps nobody."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0] * PAGE_SIZE if self._reserve.lacking else 0
        return pages - self._reserve.size if pages > 2 * self._reserve.size else None

    def _keep_back(self) -> bool:
        """Keep room back where there is some; whether there was."""
        held = self._reserve.held
        kept = self._reserve.ensure()
        if self._reserve.lacking:
            self._empty_log()
        if self._reserve.held != held or not kept:
            pages = WAL_PAGES if self._reserve.trouble else wal_pages(self._reserve.size)
            self._db.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        return kept

    def _free_pages(self) -> int:
        """Bytes in pages of the database that hold nothing."""
        pages: int = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        return pages * PAGE_SIZE

    def _empty_log(self) -> bool:
        """Move what is in the log into the database, so that it is begun anew. Whether there was room for that."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False  # the disk is still full: the log keeps what it has
        return True
