"""When an event is due, as it is typed, and as people read it."""

import re
from datetime import UTC, datetime

import click

from eventbus.cli.formatting import format_duration
from eventbus.cli.screen import Screen
from eventbus.client.encoding import rfc3339
from eventbus.client.parsing import parse_time

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PART = r"(\d{1,9}(?:\.\d{1,3})?)(s|min|m|h|d|w)"
_DURATION = re.compile(rf"(?:{_PART})+", re.ASCII)
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ](?P<minute>\d\d:\d\d)(?P<second>:\d\d(?:\.\d+)?)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)


def parse_delay(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of a duration: 90, 90s, 15m, 1h30m, 2d. Raises BadParameter."""
    if value is None:
        return None
    text = f"{value}s" if value[-1:].isdecimal() else value
    if not _DURATION.fullmatch(text):
        raise click.BadParameter(f"{value!r} is no duration, such as 90s, 15m, 1h30m, 2d or 1w")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text, re.ASCII))


def parse_due(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Return a time, whose seconds may be left out. Raises BadParameter, also for one without an offset."""
    if value is None:
        return None
    found = _TIME.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time, such as 2026-12-01T08:00Z or 2026-12-01T09:00+01:00")
    try:
        at = parse_time(f"{found['day']}T{found['minute']}{found['second'] or ':00'}{found['offset'] or 'Z'}")
    except ValueError as error:
        raise click.BadParameter(f"there is no such time as {value!r}") from error
    if found["offset"] is None:
        raise click.BadParameter(
            f"the time {value!r} has no offset; add it: {value}Z for UTC, {value}{_local_offset(at)} for the time here"
        )
    return at


def _local_offset(at: datetime) -> str:
    """Return the offset of this machine's time zone at a time of its clocks: +01:00."""
    text = f"{at.replace(tzinfo=None).astimezone():%z}"
    return f"{text[:3]}:{text[3:5]}"


def due_payload(due: datetime | None, *, asked: bool) -> dict[str, str | None]:
    """Return what JSON says of when a publish is due: nothing where nobody asked, and it was not scheduled before."""
    return {"scheduled_for": None if due is None else rfc3339(due)} if asked or due is not None else {}


def note_due(screen: Screen, due: datetime | None, *, asked: bool) -> None:
    """Say when a publish is due, or that it is not scheduled where that was asked for."""
    if due is not None:
        screen.note(f"Due at {due_text(due)}, {time_left(due)}.")
    elif asked:
        screen.note("It is not scheduled: it is in the journal.")


def due_text(at: datetime) -> str:
    """Return a time for people, in UTC and whole seconds."""
    return rfc3339(at.replace(microsecond=0))


def time_left(at: datetime, now: datetime | None = None) -> str:
    """Return how long it is until a time, rounded: in 15 min; or now."""
    seconds = (at - (now or datetime.now(UTC))).total_seconds()
    unit = next((size for size in (86_400, 3_600, 60) if seconds >= 2 * size), 1)
    return f"in {format_duration(seconds + unit / 2)}" if seconds >= 1 else "now"
