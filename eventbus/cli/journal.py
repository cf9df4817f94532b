"""``eventbus journal``: copies a journal on which no bus runs. Imports the server, and only when it runs."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from eventbus.cli.command import Group
from eventbus.cli.context import json_option
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import Screen, pluralize

if TYPE_CHECKING:
    from eventbus.journal.copy.copying import Copyable

#: The start of an argument that names an environment variable instead of a URL.
ENVIRONMENT_PREFIX = "env:"


@click.group(
    "journal",
    cls=Group,
    examples=("eventbus journal copy sqlite:///eventbus.db redis://localhost:6379/0",),
)
def journal() -> None:
    """Work on a journal while no bus runs on it."""


@journal.command(
    "copy",
    examples=(
        "eventbus journal copy sqlite:///eventbus.db redis://localhost:6379/0",
        "eventbus journal copy env:REDIS_URL sqlite:////var/lib/eventbus/journal.db",
    ),
)
@click.argument("source")
@click.argument("target")
@json_option
def copy(source: str, target: str, as_json: bool) -> None:  # noqa: FBT001 - click names it
    """Copy a journal into an empty one, of either kind.

    SOURCE and TARGET are as in EVENTBUS_JOURNAL, or env:NAME for a variable that holds it, as is needed where there is
    a password in it. No bus may run on either. An interrupted copy resumes when it is run again, and no bus starts
    on it until it is finished. At the end everything is read back and compared.
    """
    require_server()
    screen = Screen.of_this_process(as_json=as_json)
    with translate_errors():
        origin, copied = (_journal_of(name, url) for name, url in (("SOURCE", source), ("TARGET", target)))
        if origin.name == copied.name:
            raise click.UsageError("SOURCE and TARGET are the same journal")
        with _open(origin, create=False), _open(copied, create=True) as remarks:
            for remark in remarks:
                screen.note(f"Of {escape(copied.name)}: {remark}.")
            _copy(origin, copied, screen)


def require_server() -> None:
    """Raise CommandFailed where the server, whose journal it is, is not installed."""
    if importlib.util.find_spec("gevent") is None:
        raise CommandFailed("The server is not installed (no gevent): pip install 'eventbus[server]'.")


def _copy(source: "Copyable", target: "Copyable", screen: Screen) -> None:
    from eventbus.journal.copy.copying import Copying  # noqa: PLC0415 - the server's, and only here

    copying = Copying(source, target)
    mark = copying.begin()
    total = mark.extent.total
    if mark.done:
        screen.note(f"Continues after {pluralize(mark.done, 'row')} of {total:,}.")
    with screen.progress("copied", total) as show:
        copying.run(show)
    with screen.progress("checked", total) as show:
        copying.finish(show)
    counts = {str(kind): count for kind, count in mark.extent.counts.items()}
    if screen.as_json:
        screen.value({"source": source.name, "target": target.name, **counts})
        return
    rows = [(kind.replace("_", " "), f"{count:,}") for kind, count in counts.items()]
    screen.table(Table.of((Column("kept"), Column("copied", number=True)), rows))
    screen.note(f"{escape(target.name)} is a journal now; {escape(source.name)} is as it was.")


def _journal_of(argument: str, given: str) -> "Copyable":
    """Return the journal that an argument names, not opened yet. Raises UsageError."""
    from eventbus.core.settings import MEMORY, Settings  # noqa: PLC0415
    from eventbus.journal.sqlite.copy_adapter import SqliteCopying  # noqa: PLC0415 - the server's, and only here

    settings = Settings(journal=_check_url(argument, _url(argument, given)))
    if settings.on_redis:
        try:
            from eventbus.journal.redis.store.copy_adapter import RedisCopying  # noqa: PLC0415 - an extra
        except ImportError:
            raise CommandFailed("A journal on Redis needs the extra: pip install 'eventbus[redis]'.") from None
        return RedisCopying(settings.journal, settings.journal_redacted)
    if settings.journal_path == MEMORY:
        raise click.UsageError(f"{argument} is a journal that ends with its process")
    return SqliteCopying(settings.journal_path)


def _url(argument: str, given: str) -> str:
    """Return the URL. Refuse one with a password on the command line, which is public on the machine."""
    if given.startswith(ENVIRONMENT_PREFIX):
        name = given.removeprefix(ENVIRONMENT_PREFIX)
        found = os.environ.get(name, "").strip()
        if not found:
            raise click.UsageError(f"{argument} is in {name}, which is not set")
        return found
    if "@" in given.partition(":")[2] and not given.startswith("sqlite:"):
        raise click.UsageError(
            f"{argument} has a password in it: put it into a variable, and give {ENVIRONMENT_PREFIX}NAME"
        )
    return given


def _check_url(argument: str, url: str) -> str:
    """Return the URL if it is a journal's. Raises UsageError."""
    from eventbus.core.errors import SettingsError  # noqa: PLC0415 - the server's, and only here
    from eventbus.core.settings import from_environment  # noqa: PLC0415

    try:
        return from_environment({"EVENTBUS_JOURNAL": url}).journal
    except SettingsError as error:
        raise click.UsageError(str(error).replace("EVENTBUS_JOURNAL", argument, 1)) from None


@contextmanager
def _open(journal: "Copyable", *, create: bool) -> Iterator[tuple[str, ...]]:
    """Open a journal, provide what an operator should know of it, and close it."""
    remarks = journal.open(create=create)
    try:
        yield remarks
    finally:
        journal.close()


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the server's errors as CommandFailed."""
    from eventbus.core.errors import EventbusError  # noqa: PLC0415 - the server's, and only here

    try:
        yield
    except EventbusError as error:
        raise CommandFailed(f"{escape(str(error)).rstrip('.')}.") from error
