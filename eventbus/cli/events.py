"""``eventbus events`` and ``eventbus event``: what is in the journal, and what became of it."""

from collections.abc import Sequence
from itertools import islice

import click

from eventbus.cli.command import command
from eventbus.cli.places import after, place
from eventbus.cli.printer import raw_body, whole
from eventbus.cli.reach import Reach, reaching
from eventbus.cli.safe import safe
from eventbus.cli.screen import Screen
from eventbus.cli.shown import as_json, beginning, event_json, rfc3339
from eventbus.cli.table import Column, table
from eventbus.client import Delivery, Event
from eventbus.client.events import Place

#: Characters of a body that a list shows.
WIDTH = 60
_COLUMNS = (Column("accepted"), Column("id"), Column("topic"), Column("body"))
_DELIVERIES = (
    Column("address"), Column("state"), Column("attempts", number=True), Column("next attempt"),
    Column("last status", number=True), Column("last error"),
)  # fmt: skip


@command(
    "events",
    "eventbus events --limit 10",
    "eventbus events --after 2026-11-24T06:00:00Z --topic 'orders.*'",
    "eventbus events --json | jq -r .topic | sort | uniq -c",
)
@click.option(
    "--after",
    "start",
    default="earliest",
    show_default=True,
    callback=place,
    metavar="PLACE",
    help="Begin after an event's id or a time, or with the 'earliest'.",
)
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="Only events that match; may repeat.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="So many at most.")
@reaching
def events(reach: Reach, start: Place, topics: tuple[str, ...], limit: int) -> None:
    """List the journal's events.

    The oldest first: those that come later are found by --after.
    """
    with reach.bus() as bus:
        found = list(islice(bus.events(after=after(start), topics=topics), limit + 1))
    listed = found[:limit]
    if reach.screen.as_json:
        for event in listed:
            reach.screen.value(event_json(event))
    elif listed:
        rows = [(rfc3339(event.at), event.id, event.topic, beginning(event, WIDTH)) for event in listed]
        reach.screen.table(table(_COLUMNS, rows))
    if len(found) > limit:
        reach.screen.note(f"There are more: --after {safe(listed[-1].id)} goes on, --limit shows more at once.")
    elif not found:
        reach.screen.note("There are no such events.")


@command(
    "event",
    "eventbus event 0193c8a1-2b3c-7d4e-8f5a-6b7c8d9e0f1a",
    "eventbus event 0193c8a1-2b3c-7d4e-8f5a-6b7c8d9e0f1a --raw > body.bin",
)
@click.argument("event_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body only, as it came.")
@reaching
def event(reach: Reach, event_id: str, raw: bool) -> None:  # noqa: FBT001 - click names it
    """Show one event, and what became of it."""
    with reach.bus() as bus:
        found = bus.event(event_id)
        deliveries = [] if raw else bus.deliveries(event_id)
    if reach.screen.as_json:
        reach.screen.value({**event_json(found), "deliveries": [as_json(one) for one in deliveries]})
    elif raw:
        raw_body(reach.screen, found, end=b"")
    else:
        _show(reach.screen, found, deliveries)


def _show(screen: Screen, found: Event, deliveries: Sequence[Delivery]) -> None:
    whole(screen, found)
    for name, value in found.headers.items():
        screen.line(f"  {screen.styled(safe(name) + ':', dim=True)} {safe(value)}")
    screen.line()
    if deliveries:
        screen.table(table(_DELIVERIES, [_row(one) for one in deliveries], [_style(one) for one in deliveries]))
    else:
        screen.note("It was for no subscriber.")


def _row(one: Delivery) -> tuple[object, ...]:
    again = None if one.next_attempt_at is None else rfc3339(one.next_attempt_at)
    return one.address, one.state, one.attempts, again, one.last_status, one.last_error


def _style(one: Delivery) -> str:
    return {"dead": "red", "pending": "yellow"}.get(one.state, "")
