"""``eventbus subscribers``: who gets what, and how each is doing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.escape import escape
from eventbus.cli.formatting import format_duration, to_json
from eventbus.cli.screen import Screen, pluralize
from eventbus.cli.table import Column, Table, plain, table
from eventbus.client import Bus, Subscriber
from eventbus.client.errors import Unavailable, Unreachable

_COLUMNS = (
    Column("address"),
    Column("state"),
    Column("pending", number=True),
    Column("oldest", number=True),
    Column("delivered", number=True),
    Column("dead", number=True),
    Column("lease", number=True),
    Column("topics"),
    Column("last error"),
)
#: Puts the cursor at the top, and clears what is below.
_CLEAR_SCREEN = "\x1b[H\x1b[J"


@command(
    "subscribers",
    "eventbus subscribers",
    "eventbus subscribers --watch",
    "eventbus subscribers --json | jq '.[].address'",
)
@click.option("--live", is_flag=True, help="Leave out those whose lease has ended.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3_600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look, with --watch.",
)
@with_context
def subscribers(context: CommandContext, live: bool, watch: bool, interval: float) -> None:  # noqa: FBT001 - click names it
    """Show the subscribers, live and expired, and how each is."""
    with context.bus() as bus:

        def check_ready() -> list[Subscriber]:
            return bus.subscribers() if live else all_subscribers(bus)

        found = check_ready()
        if watch:
            _watch(context.screen, check_ready, found, interval)
        else:
            print_subscribers(context.screen, found)


def all_subscribers(bus: Bus) -> list[Subscriber]:
    """Live subscribers, and then expired ones."""
    return [*bus.subscribers(), *bus.subscribers(expired=True)]


def print_subscribers(screen: Screen, found: list[Subscriber]) -> None:
    """Print them once."""
    if screen.as_json:
        screen.value([to_json(one) for one in found])
    elif found:
        screen.table(subscriber_table(found, datetime.now(UTC)))
    else:
        screen.note("There are no subscribers.")


def subscriber_table(found: list[Subscriber], now: datetime) -> Table:
    """Subscribers as a table; red is who is failing, expired or has dead letters, yellow who waits."""
    return table(_COLUMNS, [_row(one, now) for one in found], [_colour(one) for one in found])


def _colour(one: Subscriber) -> str:
    if one.dead or one.state in ("expired", "failing"):
        return "red"
    return "" if one.state in ("new", "ok") else "yellow"


def _row(one: Subscriber, now: datetime) -> tuple[object, ...]:
    counts = (f"{one.delivered:,}", f"{one.dead:,}")
    left = format_duration(abs((one.expires_at - now).total_seconds()))
    lease = f"{left} ago" if one.state == "expired" else left
    topics = ", ".join(one.topics) or ">"
    oldest = format_duration(one.oldest_pending_seconds) if one.pending else ""
    return (one.address, one.state, f"{one.pending:,}", oldest, *counts, lease, topics, one.last_error)


def _watch(
    screen: Screen, check_ready: Callable[[], list[Subscriber]], found: list[Subscriber], interval: float
) -> None:
    """Print them again and again; a bus that is away for a while is waited for."""
    trouble = ""
    with _live_view(screen) as show_again:
        while True:
            show_again(found, trouble)
            threading.Event().wait(interval)
            try:
                found, trouble = check_ready(), ""
            except (Unreachable, Unavailable) as error:
                trouble = f" ({escape(str(error))})"


@contextmanager
def _live_view(screen: Screen) -> Iterator[Callable[[list[Subscriber], str], None]]:
    """What prints them over what was printed before, on a terminal, else below it."""
    if screen.as_json or not screen.terminal:
        yield lambda found, trouble: screen.note(trouble.strip()) if trouble else print_subscribers(screen, found)
    elif screen.rich:
        from eventbus.cli.with_rich import LiveTable  # noqa: PLC0415 - rich may not be there

        with LiveTable(colour=screen.colour) as live:
            yield lambda found, trouble: live.show(subscriber_table(found, datetime.now(UTC)), title(found, trouble))
    else:
        yield lambda found, trouble: screen.line(_CLEAR_SCREEN + "\n".join([title(found, trouble), *_lines(found)]))


def _lines(found: list[Subscriber]) -> list[str]:
    return plain(subscriber_table(found, datetime.now(UTC)))


def title(found: list[Subscriber], trouble: str) -> str:
    """What stands above a table that is kept up to date."""
    return f"{pluralize(len(found), 'subscriber')}, {datetime.now().astimezone():%H:%M:%S}{trouble}"
