"""The command itself: gathers, prints as it finds, and ends with 1 where something is wrong."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.doctor import journal, redis_journal, running_bus, settings, subscribers
from eventbus.cli.doctor.findings import Finding, Level
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import FAILURE, SUCCESS
from eventbus.cli.screen import Screen
from eventbus.client.errors import BusError

if TYPE_CHECKING:
    from eventbus.core.settings import Settings

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "red"}
#: A journal that has no file.
_IN_MEMORY = ":memory:"


@command(
    "doctor", "eventbus doctor", "eventbus doctor --url https://bus.example.com --token-file token.txt",
    "eventbus doctor --settings", "eventbus doctor --json | jq '.findings[] | select(.level != \"ok\")'",
)  # fmt: skip
@click.option("--settings", "with_settings", is_flag=True, help="Show this environment's settings, too.")
@with_context
def doctor(context: CommandContext, with_settings: bool) -> None:  # noqa: FBT001 - click names it
    """Look for what is wrong, and say what to mend.

    Looks at the settings and the journal of this environment, the limits of this the bus that runs and
    its clock, and its subscribers: whether they are stuck, have dead letters, and can be reached from here.
    Exit status 1 where something is wrong; warnings leave it 0.
    """
    found: list[Finding] = []
    for finding in chain(_local_findings(), _bus_findings(context)):
        found.append(finding)
        if not context.screen.as_json:
            _show(context.screen, finding)
    told = _settings() if with_settings else {}
    sound = all(finding.level is not Level.WRONG for finding in found)
    if context.screen.as_json:
        payload = {"sound": sound, "findings": [finding.as_json() for finding in found]}
        context.screen.value({**payload, "settings": told} if with_settings else payload)
    else:
        for name, value in told.items():
            context.screen.line(f"{name}={escape(value)}")
    click.get_current_context().exit(SUCCESS if sound else FAILURE)


def _local_findings() -> Iterator[Finding]:
    """Of this environment and this machine."""
    known, findings = settings.check(os.environ)
    yield from findings
    if known is not None:
        yield from journal_findings(known)
    yield settings.open_files_limit()


def journal_findings(known: "Settings") -> Iterator[Finding]:
    """Of the journal that these settings name."""
    if known.on_redis:
        yield from redis_journal.diagnose(known)
    elif known.journal_path != _IN_MEMORY:
        yield from journal.diagnose(journal.inspect(Path(known.journal_path)), known.journal_max_bytes)


def _bus_findings(context: CommandContext) -> Iterator[Finding]:
    """Of the bus that runs, and its subscribers."""
    try:
        yield from running_bus.diagnose(running_bus.inspect(context))
    except BusError as error:
        yield running_bus.unreachable(error, context.url)
        return
    try:
        with context.bus() as bus:
            live, expired = bus.subscribers(), bus.subscribers(expired=True)
    except BusError as error:
        yield subscribers.not_listed(error)
        return
    yield from subscribers.diagnose([*live, *expired])
    yield from subscribers.check_connections(live)


def _settings() -> dict[str, str]:
    known, _ = settings.check(os.environ)
    return {} if known is None else settings.list_settings(known, os.environ)


def _show(screen: Screen, finding: Finding) -> None:
    level = screen.styled(f"{finding.level.value:<8}", fg=_COLOURS[finding.level])
    screen.line(f"{level} {finding.about:<12} {escape(finding.text)}")
    if finding.fix:
        screen.line(f"{'':<8} {'':<12} {escape(finding.fix)}")
