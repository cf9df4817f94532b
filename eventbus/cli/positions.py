"""Places in the journal as people type them, and how many events lie between two."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from eventbus.client import Bus, Event
from eventbus.client.events import Position
from eventbus.client.topics import matches_any

_LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ].*)?")


def parse_position(_: click.Context, __: click.Parameter, value: str | None) -> Position:
    """``earliest``, ``now``, an event's id, or a time as RFC 3339 has it: what is none of the others is an id."""
    if value is None or not _LIKE_A_TIME.fullmatch(value):
        return value
    try:
        at = datetime.fromisoformat(value.upper())
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time as RFC 3339 has it, such as 2026-11-24T06:03:29Z") from None
    if at.tzinfo is None:
        raise click.BadParameter(f"the time {value!r} says no offset; add Z for UTC: {at.isoformat()}Z")
    return at.astimezone(UTC)


def feed_position(named: Position) -> Position:
    """The place as a feed begins after it."""
    return None if named == "earliest" else named


def count_events_between(bus: Bus, topics: Sequence[str], start: Position, end: Position) -> int:
    """How many events with these topics a replay has from one place to another, both included.

    Times are compared in whole seconds, as the bus shows them. Raises BusError.
    """
    last = end if isinstance(end, str) and end != "now" else None
    if last is not None:
        bus.event(last)  # raises where there is none
    count = 0
    for event in _events_from(bus, start):
        if isinstance(end, datetime) and event.at >= end:
            break
        count += matches_any(topics, event.topic)
        if event.id == last:
            return count
    return count if last is None else 0  # it lies before the start


def _events_from(bus: Bus, start: Position) -> Iterator[Event]:
    if isinstance(start, str) and start not in ("earliest", "now"):
        yield bus.event(start)
    yield from bus.events(after=feed_position(start))
