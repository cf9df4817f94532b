"""Check the journal's file: whether it exists, is sound, is in use, and has room. Change nothing."""

import fcntl
import os
import shutil
import sqlite3
import struct
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from eventbus.cli.doctor.findings import Finding, ok, unfinished_copy, warning, wrong

_ABOUT = "journal"
#: Bytes of a page of every journal: a file of another size ends in the middle of one.
_PAGE_BYTES = 4_096
#: Bytes of free disk below which a bus may fail at any moment.
MIN_FREE_BYTES = 64 * 1024 * 1024
#: Bytes of a journal that is copied to check it with its write-ahead log, at most.
MAX_COPIED_BYTES = 1024 * 1024 * 1024
#: The table of an unfinished copy, and the query of its progress.
_MARK_TABLE, _MARK = "unfinished_copy", "SELECT mark FROM unfinished_copy"
#: Where in a file SQLite's locks are, and how many bytes they take (https://www.sqlite.org/src/file/src/os.h).
_LOCK_OFFSET, _LOCK_BYTES = 0x4000_0000, 512
#: ``struct flock`` of fcntl(2) with 64 bits: type, whence, start, length, process.
_LINUX = struct.Struct("@hhqqi4x")
#: Whether this system has that layout.
CAN_READ_LOCKS = sys.platform == "linux" and struct.calcsize("P") == 8
_SEE_RESTORE = "see docs/operations.md on restoring a copy"


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a journal: what is wrong with it, and its mark if it is an unfinished copy."""

    error: str = ""
    mark: str | None = None
    checked: bool = True


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """The facts about a journal's file; ``size`` is None if there is none, ``free`` are bytes of its disk."""

    path: Path
    folder_exists: bool
    writable: bool
    size: int | None = None
    free: int = 0
    held_by: int | None = None
    content: Content | None = None  # None where a bus may hold it


def inspect(path: Path) -> JournalFacts:
    """Return the facts about a file, and its content if no bus holds it."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return JournalFacts(path, folder_exists=False, writable=False)
    free, writable = shutil.disk_usage(folder).free, os.access(folder, os.W_OK)
    if not path.is_file():
        return JournalFacts(path, folder_exists=True, writable=writable, free=free)
    size = path.stat().st_size
    writable = writable and os.access(path, os.R_OK | os.W_OK)
    try:
        held_by = lock_holder(path) if CAN_READ_LOCKS else 0
        content = read_content(path) if held_by is None else None
    except OSError:
        return JournalFacts(path, folder_exists=True, writable=False, size=size, free=free)
    return JournalFacts(
        path, folder_exists=True, writable=writable, size=size, free=free, held_by=held_by, content=content
    )


def diagnose(facts: JournalFacts, max_bytes: int) -> list[Finding]:
    """Return the findings about a file, for a bus whose journal may have so many bytes."""
    where = f"The journal {str(facts.path)!r}"
    if not facts.folder_exists:
        return [wrong(_ABOUT, f"{where} has no folder.", "Make the folder, or set EVENTBUS_JOURNAL.")]
    if not facts.writable:
        return [wrong(_ABOUT, f"{where} and its folder cannot be written.", "Give them to the user that runs the bus.")]
    return [_content(facts, where), _disk_space(facts, max_bytes)]


def _content(facts: JournalFacts, where: str) -> Finding:
    if facts.size is None:
        return ok(_ABOUT, f"{where} does not exist yet; a bus that starts here creates it.")
    if facts.content is None:
        return ok(_ABOUT, f"{where} ({_format_bytes(facts.size)}) {_held_by(facts)}.")
    if facts.content.error:
        return wrong(_ABOUT, f"{where} is damaged: {facts.content.error}.", f"Start no bus on it; {_SEE_RESTORE}.")
    if facts.content.mark is not None:
        return _unfinished(where, facts.content.mark)
    found = "is sound" if facts.content.checked else "is too large to be checked with its log"
    return ok(_ABOUT, f"{where} {found} ({_format_bytes(facts.size)}), and no bus runs on it.")


def _held_by(facts: JournalFacts) -> str:
    if not CAN_READ_LOCKS:
        return "exists; whether a bus runs on it is unknown on this system"
    by = f" by process {facts.held_by}" if facts.held_by else ""
    return f"is held{by}: a bus runs on it, or it is being copied"


def _unfinished(where: str, mark: str) -> Finding:
    from eventbus.journal.copy.copying import Mark  # noqa: PLC0415 - the server's, and only here

    return unfinished_copy(where, Mark.from_json(mark))


def _disk_space(facts: JournalFacts, max_bytes: int) -> Finding:
    wanted = max(0, max_bytes - (facts.size or 0))
    text = f"Its disk has {_format_bytes(facts.free)} free"
    if facts.free < MIN_FREE_BYTES:
        return wrong("disk", f"{text}.", "Make room: without any, publishing is refused with 507.")
    if facts.free < wanted:
        more = f"{text}, but the journal may grow by {_format_bytes(wanted)}."
        return warning("disk", more, "Make room, or lower EVENTBUS_JOURNAL_MAX_BYTES.")
    return ok("disk", f"{text}, enough for the largest journal.")


def read_content(path: Path) -> Content:
    """Check the content of a journal that no process holds. Raises OSError."""
    log = Path(f"{path}-wal")
    waiting = log.stat().st_size if log.is_file() else 0
    size = path.stat().st_size
    if size == 0:
        return Content()
    if not waiting and size % _PAGE_BYTES == 0:
        return _read_content(path, "mode=ro&immutable=1")
    if size + waiting > MAX_COPIED_BYTES:
        return Content(checked=False)
    with TemporaryDirectory() as folder:  # reading it with its log would change both
        copy = Path(folder) / "journal.db"
        shutil.copyfile(path, copy)
        os.truncate(copy, size + -size % _PAGE_BYTES)  # as the bus repairs a torn end
        if waiting:
            shutil.copyfile(log, f"{copy}-wal")
        return _read_content(copy, "mode=rw")


def _read_content(path: Path, options: str) -> Content:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "events" not in tables:
                return Content("it is a database, but not a journal")
            (result,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if result != "ok":
                return Content(str(result).splitlines()[-1])
            marks = db.execute(_MARK).fetchall() if _MARK_TABLE in tables else []
    except sqlite3.Error as error:
        return Content(str(error))
    return Content(mark=marks[0][0] if marks else None)


def _format_bytes(size: int) -> str:
    return f"{size / 1_048_576:,.1f} MiB" if size < 2**30 else f"{size / 2**30:,.1f} GiB"


def lock_holder(file: Path) -> int | None:
    """Return the process that holds the journal; None if none does; 0 for one that is not visible here.

    A bus keeps an exclusive lock for as long as it runs. Take no lock. Raises OSError.
    """
    with file.open("rb") as journal:
        request = _LINUX.pack(fcntl.F_RDLCK, 0, _LOCK_OFFSET, _LOCK_BYTES, 0)
        kind, _, _, _, process = _LINUX.unpack(fcntl.fcntl(journal, fcntl.F_GETLK, request))
    return None if kind == fcntl.F_UNLCK else int(process)
