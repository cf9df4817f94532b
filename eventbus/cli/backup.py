"""``eventbus backup`` and ``eventbus restore``: a copy of a running bus's journal, and a journal from a copy."""

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, json_option, with_context
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed, stop_on_signals
from eventbus.cli.journal import require_server, translate_errors
from eventbus.cli.screen import Screen, pluralize
from eventbus.client.http import Stream

if TYPE_CHECKING:
    from eventbus.core.settings import Settings

#: A table and its rows, in the header of a backup.
_ROWS = re.compile(r"([a-z_]+)=([0-9]+)")


@command(
    "backup",
    "eventbus backup eventbus-backup.db",
    "eventbus backup /var/backups/eventbus.db --force --json",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@with_context
def backup(context: CommandContext, file: Path, force: bool) -> None:  # noqa: FBT001 - click names it
    """Copy the journal of a running bus into FILE.

    The copy is of one moment: it has all that was accepted before. It is checked before it gets its name, and nobody
    but you may read it. The bus needs room for it beside its journal while it is made. 'eventbus restore' makes a
    journal of it.
    """
    _check_free(file, force=force)
    with stop_on_signals(), _temporary(file) as temporary, context.bus() as bus:
        context.screen.note("The bus copies its journal.")
        with closing(bus.backup()) as stream:
            _receive(stream, temporary, context.screen)
            headers = stream.response.headers
        rows = {table: int(count) for table, count in _ROWS.findall(headers.get("eventbus-rows", ""))}
        context.screen.note("Checking the copy.")
        _verify(temporary, rows)
        size = temporary.stat().st_size
        _check_free(file, force=force)  # it has taken a while
        temporary.replace(file)
        _sync_folder(file)
    last_seq = int(headers.get("eventbus-last-sequence", "0"))
    if context.screen.as_json:
        context.screen.value({"file": str(file), "bytes": size, "last_seq": last_seq, "rows": rows})
    else:
        events = pluralize(rows.get("events", 0), "event")
        context.screen.note(f"{escape(str(file))} has {events}, up to sequence number {last_seq}: {size:,} bytes.")


@command(
    "restore",
    "eventbus restore eventbus-backup.db",
    "eventbus restore /var/backups/eventbus.db --journal /var/lib/eventbus/journal.db --force",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The journal; else EVENTBUS_JOURNAL, else eventbus.db here.",
)
@click.option("--force", is_flag=True, help="Replace a journal, which is kept under another name.")
@json_option
def restore(file: Path, journal: Path | None, force: bool, as_json: bool) -> None:  # noqa: FBT001 - click names it
    """Make FILE, a backup, the journal of a bus that does not run.

    It is checked first, and stays as it is: the journal is a copy. What was delivered after the backup is delivered
    again when the bus starts, and what was accepted after it is not there.
    """
    require_server()
    screen = Screen.of_this_process(as_json=as_json)
    with translate_errors(), stop_on_signals():
        from eventbus.journal.sqlite import restore as restoring  # noqa: PLC0415 - the server's, and only here

        target = journal or _configured_journal()
        restoring.check_backup(file)
        with screen.progress("copied bytes", file.stat().st_size) as show:
            done = restoring.restore(file, target, force=force, on_progress=show)
    former = None if done.former is None else str(done.former)
    if screen.as_json:
        rows = dict(done.counts)
        screen.value({"journal": str(target), "former": former, "last_seq": done.last_seq, "rows": rows})
        return
    events = pluralize(done.counts["events"], "event")
    screen.note(f"{escape(str(target))} has {events}, up to sequence number {done.last_seq}.")
    if former is not None:
        screen.note(f"The former journal is {escape(former)}.")


def _configured_journal() -> Path:
    """Return the file in EVENTBUS_JOURNAL, or the default. Raises UsageError."""
    from eventbus.core.errors import SettingsError  # noqa: PLC0415 - the server's, and only here
    from eventbus.core.settings import MEMORY, from_environment  # noqa: PLC0415

    given = os.environ.get("EVENTBUS_JOURNAL", "")
    try:
        settings: Settings = from_environment({"EVENTBUS_JOURNAL": given} if given else {})
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    if settings.on_redis:
        raise click.UsageError(
            "EVENTBUS_JOURNAL is on Redis: restore into a file by --journal, and take that there by"
            " 'eventbus journal copy'"
        )
    if settings.journal_path == MEMORY:
        raise click.UsageError("EVENTBUS_JOURNAL is a journal that ends with its process")
    return Path(settings.journal_path)


def _check_free(file: Path, *, force: bool) -> None:
    """Raise CommandFailed where a file has the name, unless it may be replaced."""
    if os.path.lexists(file) and not force:
        raise CommandFailed(f"{escape(str(file))} exists; with --force it is replaced.")
    if file.is_dir():
        raise CommandFailed(f"{escape(str(file))} is a folder; name a file.")


@contextmanager
def _temporary(file: Path) -> Iterator[Path]:
    """Provide a new file beside ``file``, for its owner alone; remove what is left of it."""
    descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".part", dir=file.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _receive(stream: Stream, path: Path, screen: Screen) -> None:
    """Write what comes to a file. Raises CommandFailed if it ends too early."""
    total, done = int(stream.response.headers.get("content-length", "0")), 0
    with path.open("wb") as file, screen.progress("received bytes", total) as show:
        for part in stream.parts():
            file.write(part)
            show(done := done + len(part))
        file.flush()
        os.fsync(file.fileno())
    if done != total or not total:
        raise CommandFailed(f"The backup has ended after {done:,} of {total:,} bytes; nothing was kept.")


def _verify(path: Path, rows: dict[str, int]) -> None:
    """Raise CommandFailed unless a file is a sound database with so many rows in its tables."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            (found, *_), *_ = db.execute("PRAGMA integrity_check(1)").fetchall()
            counts = {table: _count(db, table) for table in rows}
    except sqlite3.Error as error:
        raise CommandFailed(f"What the bus sent is damaged ({error}); nothing was kept.") from error
    if found != "ok" or counts != rows or not rows:
        raise CommandFailed(f"What the bus sent is damaged ({escape(str(found))}, {counts}); nothing was kept.")


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608 - a name of letters (_ROWS)


def _sync_folder(file: Path) -> None:
    """Make the name durable."""
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
