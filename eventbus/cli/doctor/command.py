"""The command itself: gathers, prints as it finds, and ends with 1 where something is wrong."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eventbus.cli.command import command
from eventbus.cli.doctor import journal, machine, on_redis, running, settings, subscribers
from eventbus.cli.doctor.findings import Finding, Level
from eventbus.cli.reach import Reach, reaching
from eventbus.cli.safe import safe
from eventbus.cli.screen import Screen
from eventbus.cli.status import DONE, REFUSED
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
@reaching
def doctor(reach: Reach, with_settings: bool) -> None:  # noqa: FBT001 - click names it
    """Look for what is wrong, and say what to mend.

    Looks at the settings and the journal of this environment, the limits of this machine, the bus that runs and
    its clock, and its subscribers: whether they are stuck, have dead letters, and can be reached from here.
    Exit status 1 where something is wrong; warnings leave it 0.
    """
    found: list[Finding] = []
    for finding in chain(_here(), _there(reach)):
        found.append(finding)
        if not reach.screen.as_json:
            _show(reach.screen, finding)
    told = _told() if with_settings else {}
    sound = all(finding.level is not Level.WRONG for finding in found)
    if reach.screen.as_json:
        said = {"sound": sound, "findings": [finding.as_json() for finding in found]}
        reach.screen.value({**said, "settings": told} if with_settings else said)
    else:
        for name, value in told.items():
            reach.screen.line(f"{name}={safe(value)}")
    click.get_current_context().exit(DONE if sound else REFUSED)


def _here() -> Iterator[Finding]:
    """Of this environment and this machine."""
    known, findings = settings.check(os.environ)
    yield from findings
    if known is not None:
        yield from of_journal(known)
    yield machine.files()


def of_journal(known: "Settings") -> Iterator[Finding]:
    """Of the journal that these settings name."""
    if known.on_redis:
        yield from on_redis.judged(known)
    elif known.journal_path != _IN_MEMORY:
        yield from journal.judged(journal.gathered(Path(known.journal_path)), known.journal_max_bytes)


def _there(reach: Reach) -> Iterator[Finding]:
    """Of the bus that runs, and its subscribers."""
    try:
        yield from running.judged(running.gathered(reach))
    except BusError as error:
        yield running.unreachable(error, reach.url)
        return
    try:
        with reach.bus() as bus:
            live, expired = bus.subscribers(), bus.subscribers(expired=True)
    except BusError as error:
        yield subscribers.refused(error)
        return
    yield from subscribers.judged([*live, *expired])
    yield from subscribers.unreached(live)


def _told() -> dict[str, str]:
    known, _ = settings.check(os.environ)
    return {} if known is None else settings.shown(known, os.environ)


def _show(screen: Screen, finding: Finding) -> None:
    level = screen.styled(f"{finding.level.value:<8}", fg=_COLOURS[finding.level])
    screen.line(f"{level} {finding.about:<12} {safe(finding.text)}")
    if finding.mend:
        screen.line(f"{'':<8} {'':<12} {safe(finding.mend)}")
