"""Positions in the journal on the command line, and the number of events between two."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from eventbus.client import Bus, Event
from eventbus.client.events import Position
from eventbus.client.parsing import parse_time
from eventbus.core.clock import seconds_of
from eventbus.core.topics import matches

F = TypeVar("F", bound=Callable[..., Any])
_LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ].*)?")


def parse_position(_: click.Context, __: click.Parameter, value: str | None) -> Position:
    """Parse ``earliest``, ``now``, an RFC 3339 time, or an event's id, which anything else is. Raises BadParameter."""
    if value is None or not _LIKE_A_TIME.fullmatch(value):
        return value
    try:
        return parse_time(value)
    except ValueError as error:
        raise click.BadParameter(_problem(value)) from error


def _problem(value: str) -> str:
    """Describe what is wrong with a time."""
    for missing in ("Z", "T00:00:00Z"):
        if seconds_of(value + missing) is not None:
            return f"the time {value!r} has no offset; add it, for UTC: {value}{missing}"
    return f"{value!r} is not a time in RFC 3339, such as 2026-11-24T06:03:29Z"


def position_option(flag: str, name: str, described: str, **more: Any) -> Callable[[F], F]:
    """Return an option of a command that takes a position, ``described`` in its help. A default is part of the help."""
    return click.option(
        flag, name, callback=parse_position, metavar="POSITION", help=described, show_default="default" in more, **more
    )


def feed_position(position: Position) -> Position:
    """Return the position as ``Bus.events`` takes it."""
    return None if position == "earliest" else position


def count_events_between(bus: Bus, topics: Sequence[str], start: Position, end: Position) -> int:
    """Count the events with these topics from one position to another, both included.

    Times are compared in seconds without fractions, as the bus writes them. Raises BusError.
    """
    last = end if isinstance(end, str) and end != "now" else None
    if last is not None:
        bus.event(last)  # raises NotFound
    count = 0
    for event in _events_from(bus, start):
        if isinstance(end, datetime) and event.at >= end:
            break
        count += matches(tuple(topics), event.topic)
        if event.id == last:
            return count
    return count if last is None else 0  # it lies before the start


def _events_from(bus: Bus, start: Position) -> Iterator[Event]:
    if isinstance(start, str) and start not in ("earliest", "now"):
        yield bus.event(start)
    yield from bus.events(after=feed_position(start))
