"""Copies the open journal into a file beside it, in short steps between which commits run.

The steps are those of SQLite's backup interface, on the one connection that writes: what that writes to pages that are
copied already, SQLite writes to the copy as well, so the copy is of the moment at which it ends. No transaction is open
between two steps, so the write-ahead log is emptied as always. https://www.sqlite.org/backup.html
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from eventbus.core.errors import Conflict, JournalError, JournalUnavailable, NoRoom
from eventbus.core.settings import MEMORY
from eventbus.journal.backup import JournalBackup
from eventbus.journal.sqlite.disk import Disk
from eventbus.journal.sqlite.file import PAGE_SIZE

#: Pages in one step: 256 KiB take about a millisecond. Seconds for others between two steps.
STEP_PAGES, PAUSE_SECONDS = 64, 0.01
#: How often a copy begins again, as it has to when changes are rolled back, before it is given up.
MAX_RESTARTS = 5
#: What SQLite reports with the last step (https://www.sqlite.org/rescode.html#done).
_DONE = 101


def copy_path(real: str) -> Path:
    """Return where a journal's copy is while it is made."""
    return Path(f"{real}-backup")


def remove_leftover(real: str) -> None:
    """Remove what a process has left that ended while it made a copy."""
    with suppress(OSError):  # it may be another kind of file; a copy reports that
        copy_path(real).unlink(missing_ok=True)


def copy_journal(db: sqlite3.Connection, real: str, disk: Disk, between: Callable[[], None]) -> Path:
    """Copy the journal, and return the copy's path; nothing is left of a copy that fails.

    ``between`` is called between two steps, runs other calls, and ends the copy by what it raises. Raises Conflict for
    a journal in memory, NoRoom and JournalError.
    """
    if real == MEMORY:
        raise Conflict("This journal is in memory, and ends with its process: there is nothing to back up.")
    steps = _Steps(disk, between)
    steps.check(db.execute("PRAGMA page_count").fetchone()[0])
    try:
        with closing(_create(copy_path(real))) as target:
            db.backup(target, pages=STEP_PAGES, progress=steps.after)
        disk.check()
    except BaseException as error:
        remove_leftover(real)
        if isinstance(error, sqlite3.Error | OSError):
            raise _failure(error) from error
        raise
    return copy_path(real)


def _failure(error: sqlite3.Error | OSError) -> NoRoom | JournalError:
    """Return the error for a copy that could not be written."""
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        return NoRoom("There is no room left on the journal's disk for the rest of the copy.")
    return JournalUnavailable(f"The journal could not be copied ({error}).")


@contextmanager
def removed(path: Path) -> Iterator[None]:
    """Remove a copy's file at the end of the context: who has opened it reads on."""
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def open_copy(path: Path, last_seq: int) -> JournalBackup:
    """Open a finished copy, and count its rows. Takes long. Raises JournalError."""
    try:
        counts = count_rows(path)
        file = path.open("rb")
        return JournalBackup(file, os.fstat(file.fileno()).st_size, last_seq, counts)
    except (sqlite3.Error, OSError) as error:
        raise JournalUnavailable(f"The journal's copy cannot be read ({error}).") from error


def count_rows(path: Path) -> dict[str, int]:
    """Return the rows of each table. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables.fetchall()}


def _create(path: Path) -> sqlite3.Connection:
    """Create the file, for its owner alone, and open it. Its content needs no journal, and is not synchronised."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1024", "locking_mode = EXCLUSIVE"):
        db.execute(f"PRAGMA {pragma}")
    return db


class _Steps:
    """What happens between two steps, and how often the copy has begun again."""

    def __init__(self, disk: Disk, between: Callable[[], None]) -> None:
        self._disk, self._between = disk, between
        self._copied = self._restarts = 0

    def check(self, pages: int) -> None:
        """Raise unless the journal's files are there, and room for so many pages more."""
        self._disk.check()
        self._disk.check_copy_room(pages * PAGE_SIZE)

    def after(self, status: int, remaining: int, pages: int) -> None:
        """Continue after a step, unless it was the last one: the copy is of that moment."""
        if status == _DONE:
            return
        self._restarts += pages - remaining < self._copied
        self._copied = pages - remaining
        if self._restarts > MAX_RESTARTS:
            raise JournalUnavailable("The journal could not be copied: changes in it were rolled back again and again.")
        self.check(remaining)
        self._between()
