"""``eventbus events`` and ``eventbus event``: the events in the journal, and their deliveries."""

from collections.abc import Sequence

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.due_times import due_text, time_left
from eventbus.cli.escape import escape
from eventbus.cli.fates import STATE_COLOURS
from eventbus.cli.formatting import MAX_BODY_CHARS, event_to_json, preview, print_body, print_event, to_json
from eventbus.cli.positions import feed_position, position_option
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import Screen
from eventbus.client import Delivery, Event
from eventbus.client.encoding import rfc3339
from eventbus.client.events import Position
from eventbus.core.target_path import with_path

_COLUMNS = (Column("accepted"), Column("id"), Column("topic"), Column("key"), Column("body"))
_DELIVERY_COLUMNS = (
    Column("subscriber"), Column("state"), Column("attempts", number=True), Column("next attempt"),
    Column("last status", number=True), Column("last error"),
)  # fmt: skip


@command(
    "events",
    "eventbus events --limit 10",
    "eventbus events --after 2026-11-24T06:00:00Z --topic 'orders.*'",
    "eventbus events --json | jq -r .topic | sort | uniq -c",
)
@position_option("--after", "start", "Begin after an event's id or a time, or with the 'earliest'.", default="earliest")
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="Only events that match; may repeat.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="So many at most.")
@with_context
def events(context: CommandContext, start: Position, topics: tuple[str, ...], limit: int) -> None:
    """List the journal's events.

    The oldest first: those that come later are found by --after.
    """
    with context.bus() as bus:
        context.screen.page(
            bus.events(after=feed_position(start), topics=topics),
            limit,
            event_to_json,
            lambda found: Table.of(_COLUMNS, map(_event_row, found)),
            none="There are no such events.",
            more=lambda last: f"--after {escape(last.id)} continues, --limit shows more at once",
        )


def _event_row(event: Event) -> tuple[object, ...]:
    return rfc3339(event.at), event.id, event.topic, event.key, preview(event, MAX_BODY_CHARS)


@command(
    "event",
    "eventbus event 0193c8a1-2b3c-7d4e-8f5a-6b7c8d9e0f1a",
    "eventbus event 0193c8a1-2b3c-7d4e-8f5a-6b7c8d9e0f1a --raw > body.bin",
)
@click.argument("event_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body only, as it came.")
@with_context
def event(context: CommandContext, event_id: str, raw: bool) -> None:  # noqa: FBT001 - click names it
    """Show one event, and what became of it."""
    with context.bus() as bus:
        found = bus.event(event_id)
        deliveries = [] if raw else bus.deliveries(event_id)
    if context.screen.as_json:
        context.screen.value({**event_to_json(found), "deliveries": [to_json(one) for one in deliveries]})
    elif raw:
        print_body(context.screen, found, end=b"")
    else:
        _print_details(context.screen, found, deliveries)


def _print_details(screen: Screen, found: Event, deliveries: Sequence[Delivery]) -> None:
    print_event(screen, found)
    if found.scheduled_for is not None:
        due = f"{due_text(found.scheduled_for)}, {time_left(found.scheduled_for)}"
        screen.line(f"  {screen.styled('scheduled for:', dim=True)} {due}")
    if found.key is not None:
        screen.line(f"  {screen.styled('key:', dim=True)} {escape(found.key)}")
    for name, value in found.headers.items():
        screen.line(f"  {screen.styled(escape(name) + ':', dim=True)} {escape(value)}")
    screen.line()
    if deliveries:
        screen.table(Table.of(_DELIVERY_COLUMNS, map(_delivery_row, deliveries), map(_colour_of, deliveries)))
    elif found.scheduled_for is not None:
        screen.note("It is not due yet.")
    else:
        screen.note("It has no deliveries.")


def _delivery_row(one: Delivery) -> tuple[object, ...]:
    again = None if one.next_attempt_at is None else rfc3339(one.next_attempt_at)
    whose = with_path(one.address or one.group or "", one.path)
    return (
        whose,
        one.state,
        one.attempts or (0 if one.state == "pending" else None),
        again,
        one.last_status,
        one.last_error,
    )


def _colour_of(one: Delivery) -> str:
    return STATE_COLOURS.get(one.state, "")
