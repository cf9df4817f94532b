"""``eventbus doctor``: prints findings as it makes them, and exits with 1 where something is wrong."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.doctor import (
    certificates,
    declared_file,
    environment,
    journal_file,
    redis_journal,
    running_bus,
    schedule_check,
    subscriber_checks,
    token_file,
)
from eventbus.cli.doctor.findings import Finding, Level
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import FAILURE, SUCCESS
from eventbus.cli.screen import Screen
from eventbus.cli.subscribers import all_subscribers
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
    """Look for what is wrong, and say how to fix it.

    Checks the settings and the journal of this environment, the limits of this machine, the running bus,
    its clock and its schedule, and its subscribers: whether they are stuck, have dead letters, and can be
    reached from here.
    Exit status 1 where something is wrong; warnings leave it 0.
    """
    found: list[Finding] = []
    for finding in chain(_local_findings(), _bus_findings(context)):
        found.append(finding)
        if not context.screen.as_json:
            _print_finding(context.screen, finding)
    settings = _settings() if with_settings else {}
    sound = all(finding.level is not Level.WRONG for finding in found)
    if context.screen.as_json:
        payload = {"sound": sound, "findings": [finding.as_json() for finding in found]}
        context.screen.value({**payload, "settings": settings} if with_settings else payload)
    else:
        for name, value in settings.items():
            context.screen.line(f"{name}={escape(value)}")
    click.get_current_context().exit(SUCCESS if sound else FAILURE)


def _local_findings() -> Iterator[Finding]:
    """Yield the findings about this environment and this machine."""
    known, findings = environment.check_settings(os.environ)
    yield from findings
    if known is not None:
        yield from certificates.diagnose(known)
        yield from journal_findings(known)
        if known.subscribers:
            yield from declared_file.diagnose(known.subscribers)
        if known.tokens_file:
            yield from token_file.diagnose(known.tokens_file)
    yield environment.check_open_files()


def journal_findings(settings: "Settings") -> Iterator[Finding]:
    """Yield the findings about the journal that these settings name."""
    if settings.on_redis:
        yield from redis_journal.diagnose(settings)
    elif settings.journal_path != _IN_MEMORY:
        yield from journal_file.diagnose(journal_file.inspect(Path(settings.journal_path)), settings.journal_max_bytes)


def _bus_findings(context: CommandContext) -> Iterator[Finding]:
    """Yield the findings about the running bus, and its subscribers."""
    try:
        facts = running_bus.inspect(context)
    except BusError as error:
        yield running_bus.unreachable(error, context.url)
        return
    yield from running_bus.diagnose(facts)
    with context.bus() as bus:
        yield from schedule_check.diagnose(bus, facts.ahead)
    try:
        with context.bus() as bus:
            found = all_subscribers(bus)
    except BusError as error:
        yield subscriber_checks.not_listed(error)
        return
    yield from subscriber_checks.diagnose(found)
    if path := os.environ.get("EVENTBUS_SUBSCRIBERS", "").strip():
        yield from declared_file.diagnose_drift(path, [one for one in found if one.state != "expired"])
    yield from subscriber_checks.check_connections([one for one in found if one.state != "expired"])


def _settings() -> dict[str, str]:
    known, _ = environment.check_settings(os.environ)
    return {} if known is None else environment.list_settings(known, os.environ)


def _print_finding(screen: Screen, finding: Finding) -> None:
    level = screen.styled(f"{finding.level.value:<8}", fg=_COLOURS[finding.level])
    screen.line(f"{level} {finding.about:<12} {escape(finding.text)}")
    if finding.fix:
        screen.line(f"{'':<8} {'':<12} {escape(finding.fix)}")
