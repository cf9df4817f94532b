"""Makes a backup the journal of a bus that does not run."""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from eventbus.core.errors import JournalError
from eventbus.journal.copy.copying import Mark, refusal
from eventbus.journal.sqlite.backup import count_rows
from eventbus.journal.sqlite.error_mapping import opening
from eventbus.journal.sqlite.file import check_kind, is_blank, lock, sync_folder
from eventbus.journal.sqlite.schema import check_schema, copy_mark

#: Bytes that are copied at once.
PART_BYTES = 1_048_576

#: Called with how many bytes are copied.
OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: rows by table, the newest sequence number, and where the former journal is, if there was."""

    counts: Mapping[str, int]
    last_seq: int
    former: Path | None


def check_backup(backup: Path) -> None:
    """Check what a file says of itself before it is copied. Raises JournalError."""
    with opening(str(backup)):
        if not backup.is_file():
            raise ValueError("is no file")
        log = Path(f"{backup}-wal")
        if log.exists() and log.stat().st_size:
            raise ValueError(f"has a write-ahead log beside it, {log}, so it is a journal and no backup of one")
        check_kind(backup)


def restore(backup: Path, target: Path, *, force: bool, on_progress: OnProgress) -> Restored:
    """Copy a backup, check the copy, and give it the journal's name.

    A journal that is there needs ``force``, and stays beside the new one under another name. Raises JournalError,
    JournalLocked while a bus runs on it, and OSError; then everything is as it was.
    """
    target = Path(os.path.realpath(target))
    check_backup(backup)
    with opening(str(target)), _locked(target) as exists:
        if exists and not force:
            raise JournalError(f"{target} holds a journal; with --force it is kept under another name.")
        with _temporary(target) as copy:
            _copy(backup, copy, on_progress)
            restored = _verify(backup, copy)
            former = _set_aside(target) if exists else None
            copy.replace(target)
            sync_folder(target)
    return Restored(*restored, former)


@contextmanager
def _locked(target: Path) -> Iterator[bool]:
    """Lock the journal, so that no bus starts on it; provide whether there is one. Raises BlockingIOError."""
    if not target.exists():
        yield False
        return
    holds_journal = not is_blank(target)
    descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        lock(descriptor)  # until any descriptor of the file is closed: nothing below opens it
        yield holds_journal
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Provide a new file beside the journal, for its owner alone; remove what is left of it."""
    descriptor, name = tempfile.mkstemp(prefix=f"{target.name}-restore.", dir=target.parent)
    path = Path(name)
    try:
        if os.geteuid() == 0:  # the bus runs as somebody else, mostly
            owner = (target if target.exists() else target.parent).stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.close(descriptor)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _copy(backup: Path, copy: Path, on_progress: OnProgress) -> None:
    done = 0
    with backup.open("rb") as source, copy.open("wb") as target:
        while part := source.read(PART_BYTES):
            target.write(part)
            on_progress(done := done + len(part))
        target.flush()
        os.fsync(target.fileno())


def _verify(backup: Path, copy: Path) -> tuple[Mapping[str, int], int]:
    """Check a copy of a backup; return its rows by table, and its newest sequence number. Raises JournalError."""
    with opening(str(backup)):
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            check_schema(db)
            (found, *_), *_ = db.execute("PRAGMA integrity_check(1)").fetchall()
            if found != "ok":
                raise ValueError(f"is damaged: {found}")
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                raise ValueError("is a database, but no journal of an event bus")
            if (mark := copy_mark(db)) is not None:
                raise refusal(str(backup), Mark.from_json(mark))
            last = "SELECT max(coalesce((SELECT max(seq) FROM events), 0), (SELECT max(seq) FROM places))"
            last_seq: int = db.execute(last).fetchone()[0]
        return count_rows(copy), last_seq


def _set_aside(target: Path) -> Path:
    """Give a journal and its log another name, and return that of the journal."""
    aside = target.with_name(f"{target.name}.{time.time_ns()}")
    target.rename(aside)
    log = Path(f"{target}-wal")
    if log.exists():
        shutil.move(log, f"{aside}-wal")
    return aside
