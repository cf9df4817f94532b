"""Watches the disk under a journal: whether there is room, beside a reserve, and whether the files are still there."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from eventbus.core.errors import JournalError, JournalFull, NoRoom
from eventbus.journal.sqlite.disk_reserve import Reserve, free_bytes
from eventbus.journal.sqlite.error_mapping import FULL, writing_error
from eventbus.journal.sqlite.file import PAGE_SIZE
from eventbus.journal.sqlite.file_watch import WatchedFiles

#: Pages in the write-ahead log at which SQLite moves them into the database: at most, and at least.
WAL_PAGES, MIN_WAL_PAGES = 2_000, 16
#: Free bytes above which nobody fills a disk between two inspections.
AMPLE_FREE_BYTES = 1_073_741_824
#: Bytes in free pages, beside the reserve, for which settled events are trimmed: a publish needs twice its size.
FREE_PAGE_BYTES = 4 * 1_048_576
#: Logs for which a copy beside the journal leaves room, so that it never makes publishing fail.
COPY_SPARED_LOGS = 4

T = TypeVar("T")


def wal_pages(reserve: int) -> int:
    """Return how many pages the log may hold, so that all of them fit the database on a reserve of these bytes."""
    return max(MIN_WAL_PAGES, min(WAL_PAGES, reserve // 2 // PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class DiskState:
    """The result of an inspection; texts are empty if all is well."""

    files: str = ""  # what became of the journal's files
    reserve: str = ""  # why there can be no reserve
    full: bool = False


class Disk:
    """Decides what is written to a full disk, and refuses to write to files that have been deleted or replaced.

    The rule that keeps a full disk from being a dead end: no event is accepted unless there is a reserve, and room for
    the log's pages in the database beside it; or as much in pages of the database that hold nothing. So the log can
    always be emptied, on the reserve at the latest, and what is settled can be removed.
    """

    def __init__(self, real: str, max_bytes: int) -> None:
        self._real = real
        self._reserve = Reserve(real, max_bytes)
        self._files: WatchedFiles | None = None
        self._log_bytes = WAL_PAGES * PAGE_SIZE
        self._scarce = True  # free bytes are read with each commit
        self._refused = 0  # bytes for which there was no room

    def begin(self, name: str, db: sqlite3.Connection) -> None:
        """Watch the files of an open journal, and reserve room."""
        self._db = db
        self._files = WatchedFiles(name, self._real)
        self._reserve.find()
        # A log that is empty is left alone: emptied before it begins, it would not get a random origin.
        if Path(f"{self._real}-wal").stat().st_size and not self._empty_log(cut=True) and self._reserve.give_up():
            self._empty_log()
        self._update_reserve()

    def check(self) -> None:
        """Raise JournalUnavailable if the files were missing at the last inspection."""
        if self._files is not None:
            self._files.check()

    def verify(self, *, events: bool) -> None:
        """Raise JournalTimeout if the files are missing now; ``events`` says whether events were just written."""
        if self._files is not None:
            self._files.verify(events=events)

    def inspect(self) -> DiskState:
        """Inspect the files, and reserve room again if there is some. Called once a second."""
        if self._files is None:
            return DiskState()
        files = self._files.inspect()
        if files and self._files.lacks_log_alone():
            self._empty_log()  # before its content is lost
        if not files:
            self._update_reserve()
        return DiskState(files, self._reserve.reason, self._is_short(self._refused))

    @contextmanager
    def sparing_log(self) -> Iterator[bool]:
        """Protect the log while the database is closed in this context; yield whether to empty the log first.

        If a copy has replaced the database, the log belongs to the copy by now, and closing would delete it. If the log
        was cut, closing would move pages that it no longer holds into the database.
        """
        log = Path(f"{self._real}-wal")
        aside = log.with_name(f"{log.name}.{time.time_ns()}")
        try:
            if self._files is not None and self._files.has_damaged_log():
                shutil.copyfile(log, aside)
                os.truncate(log, 0)  # reading it fails from here on, and so does SQLite's last checkpoint
                yield False
            elif self._files is not None and self._files.lacks_database_alone():
                log.rename(aside)
                try:
                    yield False
                finally:
                    aside.rename(log)
            else:
                yield True
        finally:
            if self._files is not None:
                self._files.close()

    def admit(self, size: int) -> None:
        """Raise JournalFull if events of so many bytes could fill the disk for good."""
        if self._is_short(size) and not self._has_free_pages(size) and not self._makes_room(size):
            self._refused = max(self._refused, size)
            raise JournalFull(FULL)
        if size >= self._refused:
            self._refused = 0

    def failed(self, error: sqlite3.Error) -> JournalError:
        """Return the error for a failed write, which was rolled back. On a full disk this gives up the reserve."""
        raised = writing_error(error)
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith("SQLITE_IOERR") and self._files is not None and self._reserve.is_disk_full():
            raised = JournalFull(FULL)  # a quota: SQLite reports it like a failing disk
        if isinstance(raised, JournalFull) and self._reserve.give_up():
            self._empty_log()
        return raised

    def on_reserve(self, write: Callable[..., T], *values: object) -> T:
        """Write, and repeat the write if it failed and the reserve was given up for it."""
        held = self._reserve.held
        try:
            return write(*values)
        except JournalFull:
            if not held:
                raise
            return write(*values)

    def check_copy_room(self, size: int) -> None:
        """Raise NoRoom unless so many bytes more may be written beside the journal."""
        free, spared = free_bytes(self._real), COPY_SPARED_LOGS * self._log_bytes
        if self._reserve.is_missing or free < size + spared:
            raise NoRoom(
                f"A backup needs {size:,} bytes on the journal's disk for the copy, and {spared:,} left free beside it;"
                f" {free:,} are free."
            )

    def max_bytes(self) -> int | None:
        """Return how many bytes the journal may hold on a full disk; None if it is not full, or trimming is no help."""
        if not self._is_short(self._refused):
            return None
        pages = self._db.execute("PRAGMA page_count").fetchone()[0] * PAGE_SIZE
        free = self._reserve.size + max(FREE_PAGE_BYTES, 2 * self._refused)
        return max(0, pages - free) if pages > self._reserve.size else None

    @property
    def trim_size(self) -> int:
        """Events that one commit may remove: each may change a page, and all have to fit the log."""
        return self._log_bytes // PAGE_SIZE // 2

    def _is_short(self, size: int) -> bool:
        """Return whether there is no reserve, or no room beside it for so many bytes and the log."""
        if not self._reserve.held:
            return self._reserve.is_missing
        check = self._scarce or size > self._reserve.held // 4
        return check and free_bytes(self._real) < self._log_bytes + 3 * size

    def _update_reserve(self) -> None:
        self._reserve_room()
        self._scarce = self._files is not None and free_bytes(self._real) < AMPLE_FREE_BYTES

    def _reserve_room(self) -> bool:
        """Reserve room if there is some; return whether it is reserved."""
        size = self._reserve.held
        if self._reserve.ensure() and self._reserve.held != size:
            self._log_bytes = wal_pages(self._reserve.held) * PAGE_SIZE
            self._db.execute(f"PRAGMA wal_autocheckpoint = {self._log_bytes // PAGE_SIZE}")
            self._db.execute(f"PRAGMA journal_size_limit = {2 * self._log_bytes}")
        if self._reserve.is_missing:
            self._empty_log()
        return self._reserve.held > 0

    def _has_free_pages(self, size: int) -> bool:
        """Return whether the free pages of the database are enough for a reserve and so many bytes."""
        pages: int = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        return pages * PAGE_SIZE >= self._reserve.size + 2 * size

    def _makes_room(self, size: int) -> bool:
        """Return whether there is room again since the last inspection."""
        return not self._reserve.held and self._reserve_room() and not self._is_short(size)

    def _empty_log(self, *, cut: bool = False) -> bool:
        """Move the log's pages into the database, so that the log starts again; return whether there was room for it.

        The file keeps its length, unless it is ``cut``: on a full disk other programs would take that room.
        """
        try:
            self._db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if cut else 'PASSIVE'})").fetchone()
        except sqlite3.Error:
            return False  # the disk is still full: the log keeps what it has
        return True
