"""The journal's file: is it there, is there room, does a bus hold it, is it whole. Nothing of it is changed."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from eventbus.cli.doctor.connection import trouble
from eventbus.cli.doctor.findings import Finding, warning, well, wrong
from eventbus.cli.doctor.lock import CAN_ASK, holder

_ABOUT = "journal"
#: Bytes of a page, which every journal has: a file of other sizes ends in the middle of one.
_PAGE = 4_096
#: Bytes of free disk below which a bus cannot be trusted to go on.
LEAST_FREE = 64 * 1024 * 1024
#: Bytes that are copied to check them with their write-ahead log, at most.
COPIED = 1024 * 1024 * 1024
_REDIS = "See that it runs, and that EVENTBUS_JOURNAL names it."
_OPERATIONS = "see docs/operations.md on restoring a copy"


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to know of a journal's file; ``size`` is None where there is none, ``free`` bytes of its disk."""

    path: Path
    folder_there: bool
    writable: bool
    size: int | None = None
    free: int = 0
    held_by: int | None = None
    trouble: str = ""  # what the check of its content said; empty where all is well, or nothing was checked
    checked: bool = False


def gathered(path: Path) -> Facts:
    """Look at the file, and, where no bus holds it, into it."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return Facts(path, folder_there=False, writable=False)
    free, writable = shutil.disk_usage(folder).free, os.access(folder, os.W_OK)
    if not path.is_file():
        return Facts(path, folder_there=True, writable=writable, free=free)
    size = path.stat().st_size
    writable = writable and os.access(path, os.R_OK | os.W_OK)
    try:
        held_by = holder(path) if CAN_ASK else 0
        trouble = check(path) if held_by is None else ""
    except OSError as error:
        return Facts(path, True, False, size, free, trouble=error.strerror or "it cannot be read")  # noqa: FBT003 - as named above
    return Facts(path, True, writable, size, free, held_by, trouble, checked=held_by is None)  # noqa: FBT003


def judged(facts: Facts, max_bytes: int) -> list[Finding]:
    """What is to be said of it, for a bus whose journal may have so many bytes."""
    where = f"The journal {str(facts.path)!r}"
    if not facts.folder_there:
        return [wrong(_ABOUT, f"{where} has no folder to be in.", "Make the folder, or set EVENTBUS_JOURNAL.")]
    if not facts.writable:
        return [wrong(_ABOUT, f"{where} and its folder cannot be written.", "Give them to the user that runs the bus.")]
    return [_content(facts, where), _room(facts, max_bytes)]


def _content(facts: Facts, where: str) -> Finding:
    if facts.size is None:
        return well(_ABOUT, f"{where} is not there yet; a bus that starts here makes it.")
    if facts.trouble:
        return wrong(_ABOUT, f"{where} is not whole: {facts.trouble}.", f"Start no bus on it; {_OPERATIONS}.")
    if facts.checked:
        return well(_ABOUT, f"{where} is whole ({_amount(facts.size)}), and no bus runs on it.")
    by = f" by process {facts.held_by}" if facts.held_by else ""
    held = f"is held{by}: a bus runs on it" if CAN_ASK else "is there; whether a bus runs on it cannot be told here"
    return well(_ABOUT, f"{where} ({_amount(facts.size)}) {held}.")


def _room(facts: Facts, max_bytes: int) -> Finding:
    wanted = max(0, max_bytes - (facts.size or 0))
    said = f"Its disk has {_amount(facts.free)} free"
    if facts.free < LEAST_FREE:
        return wrong("disk", f"{said}.", "Make room: without any, publishing is refused with 507.")
    if facts.free < wanted:
        more = f"{said}, but the journal may grow by {_amount(wanted)}."
        return warning("disk", more, "Make room, or lower EVENTBUS_JOURNAL_MAX_BYTES.")
    return well("disk", f"{said}, enough for the largest journal.")


def on_redis(shown: str) -> Finding:
    """What is to be said of a journal on a Redis server, of which only its address is looked at."""
    parts = urlsplit(shown)
    why = trouble(parts.hostname or "", parts.port or 6379)
    if why:
        return wrong(_ABOUT, f"The Redis server of the journal {shown} cannot be reached from here: {why}.", _REDIS)
    return well(_ABOUT, f"The Redis server of the journal {shown} can be reached from here.")


def check(path: Path) -> str:
    """What is wrong with the content of a journal that nobody holds; empty where nothing is."""
    log = Path(f"{path}-wal")
    waiting = log.stat().st_size if log.is_file() else 0
    size = path.stat().st_size
    if size == 0:
        return ""
    if not waiting and size % _PAGE == 0:
        return _quick_check(path, "mode=ro&immutable=1")
    if size + waiting > COPIED:
        return ""
    with TemporaryDirectory() as folder:  # a look at it with its log would change both
        copy = Path(folder) / "journal.db"
        shutil.copyfile(path, copy)
        os.truncate(copy, size + -size % _PAGE)  # as the bus mends a torn end
        if waiting:
            shutil.copyfile(log, f"{copy}-wal")
        return _quick_check(copy, "mode=rw")


def _quick_check(path: Path, options: str) -> str:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchall():
                return "it is a database, but no journal"
            (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else str(said).splitlines()[-1]


def _amount(size: int) -> str:
    return f"{size / 1_048_576:,.1f} MiB" if size < 2**30 else f"{size / 2**30:,.1f} GiB"
