"""``eventbus scheduled``: lists the events that wait until they are due, and cancels them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from eventbus.cli.command import Group
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.due_times import due_text, time_left
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed
from eventbus.cli.formatting import MAX_BODY_CHARS, event_to_json, preview
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import pluralize
from eventbus.client import Bus, Conflict, Event, Forbidden, NotFound
from eventbus.client.encoding import rfc3339

_COLUMNS = (Column("due"), Column("left"), Column("id"), Column("topic"), Column("key"), Column("body"))


@click.group(
    "scheduled",
    cls=Group,
    examples=(
        "eventbus scheduled list",
        "eventbus scheduled cancel 0193c8a1-2b3c-7d4e-8f5a-6b7c8d9e0f1a",
    ),
)
def scheduled() -> None:
    """List or cancel events that are not due yet."""


@scheduled.command(
    "list",
    examples=(
        "eventbus scheduled list --limit 10",
        "eventbus scheduled list --json | jq -r .scheduled_for",
    ),
)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="So many at most.")
@with_context
def list_them(context: CommandContext, limit: int) -> None:
    """List the events that wait, the one that is due next first."""
    with context.bus() as bus:
        context.screen.page(bus.scheduled(), limit, event_to_json, _table, none="There are no scheduled events.")


def _table(found: Sequence[Event]) -> Table:
    now = datetime.now(UTC)
    return Table.of(_COLUMNS, [_row(event, now) for event in found])


def _row(event: Event, now: datetime) -> tuple[object, ...]:
    due = event.scheduled_for or now
    return due_text(due), time_left(due, now), event.id, event.topic, event.key, preview(event, MAX_BODY_CHARS)


@scheduled.command(
    "cancel",
    examples=(
        "eventbus scheduled cancel 0193c8a1-2b3c-7d4e-8f5a-6b7c8d9e0f1a",
        "eventbus scheduled list --json | jq -r 'select(.topic == \"reminders\").id' | xargs eventbus scheduled cancel",
    ),
)
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@with_context
def cancel(context: CommandContext, ids: tuple[str, ...]) -> None:
    """Cancel events by their ids, and print the id of each that is.

    What has entered the journal meanwhile is delivered. The others are cancelled nevertheless, and the command fails.
    """
    with context.bus() as bus:
        refused = [event_id for event_id in ids if not _cancel(context, bus, event_id)]
    if refused:
        raise CommandFailed(f"{pluralize(len(refused), 'event')} of {len(ids):,} could not be cancelled.")
    context.screen.note(f"Cancelled {pluralize(len(ids), 'event')}.")


def _cancel(context: CommandContext, bus: Bus, event_id: str) -> bool:
    """Cancel one event, and print it, or why not. Return whether it is cancelled. Raises BusError."""
    screen = context.screen
    try:
        at = bus.cancel(event_id)
    except (Conflict, NotFound, Forbidden) as error:
        if screen.as_json:
            screen.value({"id": event_id, "error": error.detail})
        screen.note(escape(error.detail))
        return False
    if screen.as_json:
        screen.value({"id": event_id, "cancelled_at": rfc3339(at)})
    else:
        screen.safe_line(event_id)
    return True
