"""``eventbus pause``, ``resume``, ``retry`` and ``skip``: what an operator does to deliveries of one subscription."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.escape import escape
from eventbus.cli.named_subscription import NamedSubscription, with_named_subscription
from eventbus.cli.positions import parse_position
from eventbus.cli.screen import pluralize
from eventbus.client.encoding import rfc3339

#: When retries are attempted that an operator has asked for, by the subscription's state; else at once.
_RETRIED_WHEN = {
    "waiting for credentials": "due when it renews with its credentials",
    "paused": "due when its pause ends",
    "expired": "due when it registers again",
}


def _parse_until(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Parse a time. Raises BadParameter."""
    found = parse_position(context, parameter, value)
    if found is not None and not isinstance(found, datetime):
        raise click.BadParameter(f"{value!r} is not a time in RFC 3339, such as 2026-11-24T06:03:29Z")
    return found


@command(
    "pause",
    "eventbus pause localhost:8001 --for 900",
    "eventbus pause localhost:8001 --until 2026-11-24T13:00:00Z",
    "eventbus pause --group mailer",
)
@with_named_subscription
@click.option("--until", callback=_parse_until, metavar="TIME", help="When it ends by itself (RFC 3339).")
@click.option(
    "--for", "seconds", type=click.FloatRange(1, 366 * 86_400), metavar="SECONDS", help="How long it lasts at most."
)
@with_context
def pause(context: CommandContext, until: datetime | None, seconds: float | None, **named: str | None) -> None:
    """Deliver nothing to a subscriber until it is resumed.

    What is in flight finishes, and events go on being accepted: they wait. The pause outlives renewals, and
    restarts of the bus. The address of a group's member pauses that member alone; --group pauses the group.
    """
    whose = _checked(named)
    if until is not None and seconds is not None:
        raise click.UsageError("Give either --until or --for")
    if seconds is not None:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
    with context.bus() as bus:
        bus.pause(**named, until=until)
    ends = None if until is None else rfc3339(until)
    note = f"Paused {whose.text} until {ends or 'it is resumed'}."
    _print(context, named, {"until": ends}, note)


@command("resume", "eventbus resume localhost:8001", "eventbus resume --group mailer")
@with_named_subscription
@with_context
def resume(context: CommandContext, **named: str | None) -> None:
    """End a pause of a subscriber.

    Be it an operator's, or one that the subscriber asked for by Retry-After.
    """
    whose = _checked(named)
    with context.bus() as bus:
        resumed = bus.resume(**named)
    _print(
        context, named, {"resumed": resumed}, f"Resumed {whose.text}." if resumed else f"{whose.text} was not paused."
    )


@command("retry", "eventbus retry localhost:8001", "eventbus retry --group mailer")
@with_named_subscription
@with_context
def retry(context: CommandContext, **named: str | None) -> None:
    """Attempt at once what waits for its backoff.

    Also at a subscriber that is down. Prints how many deliveries wait for a retry. A pause goes on, and so does
    waiting for credentials, which come with the next renewal.
    """
    whose = _checked(named)
    with context.bus() as bus:
        done = bus.retry(**named)
    if not context.screen.as_json:
        context.screen.line(str(done.retried))
    when = _RETRIED_WHEN.get(done.state or "", "due now")
    note = f"{pluralize(done.retried, 'retry', 'retries')} of {whose.text} {when}."
    _print(context, named, {"retried": done.retried, "state": done.state}, note)


@command(
    "skip",
    "eventbus skip localhost:8001 --id 019a0e52-9ea1-7151-9660-fe5d36c1f0c1",
    "eventbus skip --group mailer --id 019a0e52-9ea1-7151-9660-fe5d36c1f0c1",
)
@with_named_subscription
@click.option("--id", "event_id", required=True, metavar="EVENT", help="The event's id.")
@with_context
def skip(context: CommandContext, event_id: str, **named: str | None) -> None:
    """Make a pending event a dead letter.

    Those behind it are delivered then. Its reason is 'skipped'; 'eventbus dead-letters replay' puts it back.
    Where an attempt is in flight, that finishes: the event is delivered if it succeeds, else it is a dead letter, too.
    """
    whose = _checked(named)
    with context.bus() as bus:
        done = bus.skip(event_id, **named)
    flying = f"; {done.in_flight} in flight, dead letters unless they succeed" if done.in_flight else ""
    note = f"Skipped {escape(event_id)} for {whose.text}: {pluralize(done.skipped, 'dead letter')}{flying}."
    _print(context, named, {"event": event_id, "skipped": done.skipped, "in_flight": done.in_flight}, note)


def _checked(named: dict[str, str | None]) -> NamedSubscription:
    whose = NamedSubscription(**named)
    whose.check()
    return whose


def _print(context: CommandContext, named: dict[str, str | None], done: dict[str, Any], note: str) -> None:
    if context.screen.as_json:
        context.screen.value({**{name: value for name, value in named.items() if value}, **done})
    else:
        context.screen.note(note)
