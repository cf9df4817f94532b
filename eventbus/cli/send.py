"""``eventbus send``: publishes one event, or one for each line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.due_times import due_payload, note_due, parse_delay, parse_due
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import FAILURE, CommandFailed, translate_error
from eventbus.cli.fates import fate_payload, show_fate, undelivered
from eventbus.cli.formatting import decode_text, is_json
from eventbus.cli.screen import pluralize
from eventbus.cli.send_options import SendOptions
from eventbus.client.errors import BusError
from eventbus.core.settling import MAX_SETTLE_SECONDS, MIN_SETTLE_SECONDS

#: Seconds for which a publish is retried, without a duplicate: as long as a bus takes to restart.
RETRY_SECONDS = 10.0


def _attributes(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"an attribute is NAME=VALUE, not {pair!r}")
    return dict(pair.split("=", 1) for pair in pairs)


@command(
    "send",
    "eventbus send orders.created '{\"order\": 42}'",
    "echo hello | eventbus send greetings -",
    "eventbus send reports.daily --file report.pdf --content-type application/pdf",
    "eventbus send orders.paid '{\"order\": 42}' --order-by customer-7",
    "eventbus send reminders '{\"order\": 42}' --in 3d",
    "eventbus send reminders '{\"order\": 42}' --at 2026-12-01T08:00Z",
    "eventbus send cache.invalidate '{\"page\": 7}' --expires 30s",
    "eventbus send orders.imported --lines --file orders.ndjson",
    "eventbus send orders.created '{\"order\": 42}' --settle 5",
    "eventbus send orders.paid '{\"order\": 42}' --key paid-42 --source /shop --attribute subject=42",
)
@click.argument("topic", required=False)
@click.argument("data", required=False)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Send what a file holds.",
)
@click.option("--lines", is_flag=True, help="Send each line, which is JSON, as an event of its own, in batches.")
@click.option("--content-type", metavar="TYPE", help="The type of the data; else it is guessed: JSON, text or bytes.")
@click.option("--key", metavar="KEY", help="Idempotency-Key: with the same key, within 24 hours, nothing is added.")
@click.option(
    "--order-by", metavar="KEY",
    help="Order key: subscribers with --ordered-by-key get events with the same one in order.",
)  # fmt: skip
@click.option(
    "--expires", callback=parse_delay, metavar="DURATION",
    help="Attempt no delivery after this time, such as 30s, 15m or 1d: what is left is a dead letter then.",
)  # fmt: skip
@click.option(
    "--attribute", "attributes", multiple=True, callback=_attributes, metavar="NAME=VALUE",
    help="A CloudEvents attribute; may repeat.",
)  # fmt: skip
@click.option("--source", metavar="SOURCE", help="The CloudEvents source; makes the event a CloudEvent.")
@click.option(
    "--in", "delay", callback=parse_delay, metavar="DURATION",
    help="Deliver it after so long: 90s, 15m, 1h30m, 3d; a number is seconds. At most 366 days.",
)  # fmt: skip
@click.option(
    "--at", "deliver_at", callback=parse_due, metavar="TIME",
    help="Deliver it at a time with its offset: 2026-12-01T08:00Z, 2026-12-01T09:00+01:00.",
)  # fmt: skip
@click.option(
    "--retry", type=click.FloatRange(0, 86_400), default=RETRY_SECONDS, show_default=True, metavar="SECONDS",
    help="How long to try again while the bus does not take it.",
)  # fmt: skip
@click.option(
    "--settle", type=click.FloatRange(MIN_SETTLE_SECONDS, MAX_SETTLE_SECONDS), metavar="SECONDS",
    help="Wait for up to so long until every subscription has settled the event, and print what became of it.",
)  # fmt: skip
@with_context
def send(context: CommandContext, **arguments: Any) -> None:
    """Publish an event, or one for each line.

    Prints the id when the event is durable. DATA may be - for standard input. Without a TOPIC, or with '', the event
    goes only to subscribers to everything.

    With --settle the exit status is 4 where the event is published, and not delivered to all who want it by then.
    """
    options = SendOptions(**arguments)
    options.check()
    if options.retry and context.screen.error_terminal:
        _note_if_unreachable(context, options.retry)
    if options.lines:
        _send_lines(context, options)
    else:
        _send_one(context, options)


def _note_if_unreachable(context: CommandContext, retry: float) -> None:
    """Say why nothing happens for a while."""
    try:
        context.readiness()
    except BusError:
        context.screen.note(f"The bus at {escape(context.url)} does not answer; trying for {retry:g} seconds.")


def _send_one(context: CommandContext, options: SendOptions) -> None:
    body = options.body()
    with context.bus(retry=options.retry, source=options.source) as bus:
        published = bus.publish(
            options.topic or None,
            body,
            content_type=options.content_type or content_type_of(body),
            attributes=options.attributes or None,
            key=options.key,
            order_by=options.order_by,
            settle=options.settle,
            **options.when,
        )
    if published.duplicate:
        context.screen.note("This key was used before: nothing was added.")
    due = published.scheduled_for
    if context.screen.as_json:
        payload = {"id": published.id, "subscribers": published.subscribers, "duplicate": published.duplicate}
        fate = fate_payload(published.fate) if published.fate else {}
        context.screen.value({**payload, **due_payload(due, asked=options.later), **fate})
    else:
        context.screen.safe_line(published.id)
        note_due(context.screen, due, asked=options.later)
        if published.fate is not None:
            show_fate(context.screen, published.fate)
    if published.fate is not None and not published.fate.succeeded:
        raise undelivered(published.fate)


def content_type_of(body: bytes) -> str | None:
    """Guess the type of data: JSON, text, bytes, or None for nothing."""
    text = decode_text(body)
    if text is None:
        return "application/octet-stream"
    if not text:
        return None
    return "application/json" if is_json(text) else "text/plain; charset=utf-8"


def _send_lines(context: CommandContext, options: SendOptions) -> None:
    key = options.key or uuid4().hex
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done = count
        show(count)

    with (
        context.bus(retry=options.retry) as bus,
        options.open() as source,
        context.screen.progress("published", options.events()) as show,
    ):
        try:
            ids = bus.publish_many(
                options.topic or None, json_lines(source), key=key, progress=progress, **options.when
            )
        except (BusError, InvalidLine) as error:
            raise _partial_failure(error, context.url, done, key) from error
    if context.screen.as_json:
        context.screen.value({"ids": ids, **due_payload(ids.scheduled_for, asked=options.later)})
        return
    for event_id in ids:
        context.screen.safe_line(event_id)
    context.screen.note(f"Published {pluralize(len(ids), 'event')}.")
    note_due(context.screen, ids.scheduled_for, asked=options.later)


class InvalidLine(Exception):
    """A line that is not JSON."""


def json_lines(lines: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that are not blank. Raises InvalidLine for one that is not JSON."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not is_json(text):
            raise InvalidLine(f"Line {number:,} is not JSON: {text[:40].decode(errors='replace')!r}.")
        if text:
            yield text


def _partial_failure(error: Exception, url: str, done: int, key: str) -> CommandFailed:
    """Return the failure of a command that has sent ``done`` lines, with how to continue without duplicates."""
    ended = translate_error(error, url) if isinstance(error, BusError) else CommandFailed(str(error), FAILURE)
    if not done:
        return ended
    safe_so_far = f"{pluralize(done, 'event')} before it {'is' if done == 1 else 'are'} published"
    again = f"fix it and run the same again with --key {key}, which adds only the rest"
    return CommandFailed(f"{ended.message.rstrip('.')}; {safe_so_far}: {again}.", ended.status)
