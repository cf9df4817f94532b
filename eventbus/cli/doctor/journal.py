"""The journal's file: is it there, is there room, does a bus hold it, is it whole. Nothing of it is changed."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from eventbus.cli.doctor.findings import Finding, ok, warning, wrong
from eventbus.cli.doctor.lock import IS_SUPPORTED, lock_holder

if TYPE_CHECKING:
    from eventbus.journal.copy.copying import Mark

_ABOUT = "journal"
#: Bytes of a page, which every journal has: a file of other sizes ends in the middle of one.
_PAGE_BYTES = 4_096
#: Bytes of free disk below which a bus cannot be trusted to go on.
MIN_FREE_BYTES = 64 * 1024 * 1024
#: Bytes that are copied to check them with their write-ahead log, at most.
MAX_COPIED_BYTES = 1024 * 1024 * 1024
#: Where a journal that is an unfinished copy keeps how far it has come.
_MARK_TABLE, _MARK = "unfinished_copy", "SELECT mark FROM unfinished_copy"
_OPERATIONS = "see docs/operations.md on restoring a copy"


@dataclass(frozen=True, slots=True)
class Content:
    """What a look into a journal has found: what is wrong with it, and its mark where it is an unfinished copy."""

    error: str = ""
    mark: str | None = None
    looked: bool = True


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """What there is to know of a journal's file; ``size`` is None where there is none, ``free`` bytes of its disk."""

    path: Path
    folder_there: bool
    writable: bool
    size: int | None = None
    free: int = 0
    held_by: int | None = None
    content: Content | None = None  # None where a bus may hold it


def inspect(path: Path) -> JournalFacts:
    """Look at the file, and, where no bus holds it, into it."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return JournalFacts(path, folder_there=False, writable=False)
    free, writable = shutil.disk_usage(folder).free, os.access(folder, os.W_OK)
    if not path.is_file():
        return JournalFacts(path, folder_there=True, writable=writable, free=free)
    size = path.stat().st_size
    writable = writable and os.access(path, os.R_OK | os.W_OK)
    try:
        held_by = lock_holder(path) if IS_SUPPORTED else 0
        content = read_content(path) if held_by is None else None
    except OSError:
        return JournalFacts(path, folder_there=True, writable=False, size=size, free=free)
    return JournalFacts(
        path, folder_there=True, writable=writable, size=size, free=free, held_by=held_by, content=content
    )


def diagnose(facts: JournalFacts, max_bytes: int) -> list[Finding]:
    """What is to be said of it, for a bus whose journal may have so many bytes."""
    where = f"The journal {str(facts.path)!r}"
    if not facts.folder_there:
        return [wrong(_ABOUT, f"{where} has no folder to be in.", "Make the folder, or set EVENTBUS_JOURNAL.")]
    if not facts.writable:
        return [wrong(_ABOUT, f"{where} and its folder cannot be written.", "Give them to the user that runs the bus.")]
    return [_content(facts, where), _disk_space(facts, max_bytes)]


def _content(facts: JournalFacts, where: str) -> Finding:
    if facts.size is None:
        return ok(_ABOUT, f"{where} is not there yet; a bus that starts here makes it.")
    if facts.content is None:
        return ok(_ABOUT, f"{where} ({_format_bytes(facts.size)}) {_held_by(facts)}.")
    if facts.content.error:
        return wrong(_ABOUT, f"{where} is not whole: {facts.content.error}.", f"Start no bus on it; {_OPERATIONS}.")
    if facts.content.mark is not None:
        return _unfinished(where, facts.content.mark)
    found = "is whole" if facts.content.looked else "is too large to be looked into with its log"
    return ok(_ABOUT, f"{where} {found} ({_format_bytes(facts.size)}), and no bus runs on it.")


def _held_by(facts: JournalFacts) -> str:
    if not IS_SUPPORTED:
        return "is there; whether a bus runs on it cannot be told here"
    by = f" by process {facts.held_by}" if facts.held_by else ""
    return f"is held{by}: a bus runs on it, or it is being copied"


def _unfinished(where: str, mark: str) -> Finding:
    from eventbus.journal.copy.copying import Mark  # noqa: PLC0415 - the server's, and only here

    return unfinished_copy(where, Mark.from_json(mark))


def _disk_space(facts: JournalFacts, max_bytes: int) -> Finding:
    wanted = max(0, max_bytes - (facts.size or 0))
    payload = f"Its disk has {_format_bytes(facts.free)} free"
    if facts.free < MIN_FREE_BYTES:
        return wrong("disk", f"{payload}.", "Make room: without any, publishing is refused with 507.")
    if facts.free < wanted:
        more = f"{payload}, but the journal may grow by {_format_bytes(wanted)}."
        return warning("disk", more, "Make room, or lower EVENTBUS_JOURNAL_MAX_BYTES.")
    return ok("disk", f"{payload}, enough for the largest journal.")


def read_content(path: Path) -> Content:
    """Look into a journal that nobody holds. Raises OSError."""
    log = Path(f"{path}-wal")
    waiting = log.stat().st_size if log.is_file() else 0
    size = path.stat().st_size
    if size == 0:
        return Content()
    if not waiting and size % _PAGE_BYTES == 0:
        return _read_content(path, "mode=ro&immutable=1")
    if size + waiting > MAX_COPIED_BYTES:
        return Content(looked=False)
    with TemporaryDirectory() as folder:  # a look at it with its log would change both
        copy = Path(folder) / "journal.db"
        shutil.copyfile(path, copy)
        os.truncate(copy, size + -size % _PAGE_BYTES)  # as the bus mends a torn end
        if waiting:
            shutil.copyfile(log, f"{copy}-wal")
        return _read_content(copy, "mode=rw")


def _read_content(path: Path, options: str) -> Content:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "events" not in tables:
                return Content("it is a database, but no journal")
            (payload,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if payload != "ok":
                return Content(str(payload).splitlines()[-1])
            marks = db.execute(_MARK).fetchall() if _MARK_TABLE in tables else []
    except sqlite3.Error as error:
        return Content(str(error))
    return Content(mark=marks[0][0] if marks else None)


def _format_bytes(size: int) -> str:
    return f"{size / 1_048_576:,.1f} MiB" if size < 2**30 else f"{size / 2**30:,.1f} GiB"


_MEND = "Run 'eventbus journal copy' with both again, which goes on where it stood; or begin with an empty journal."


def unfinished_copy(where: str, mark: "Mark") -> Finding:
    """What is to be said of it."""
    rows = f"{mark.done:,} of {mark.extent.total:,} rows"
    return wrong("journal", f"{where} is an unfinished copy of {mark.source} ({rows}): no bus starts on it.", _MEND)
