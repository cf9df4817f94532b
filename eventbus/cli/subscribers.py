"""``eventbus subscribers``: lists the subscribers, their state and their backlog."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.escape import escape
from eventbus.cli.formatting import format_duration, to_json
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import Screen, pluralize
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


@command(
    "subscribers",
    "eventbus subscribers",
    "eventbus subscribers --watch",
    "eventbus subscribers --json | jq '.[].address'",
)
@click.option("--live", is_flag=True, help="Leave out those whose lease has ended.")
@click.option("--watch", is_flag=True, help="Print again and again, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3_600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to print, with --watch.",
)
@with_context
def subscribers(context: CommandContext, live: bool, watch: bool, interval: float) -> None:  # noqa: FBT001 - click names it
    """Show the subscribers, live and expired, and how each is."""
    with context.bus() as bus:

        def find() -> list[Subscriber]:
            return bus.subscribers() if live else all_subscribers(bus)

        found = find()
        if watch:
            _watch(context.screen, find, found, interval)
        else:
            print_subscribers(context.screen, found)


def all_subscribers(bus: Bus) -> list[Subscriber]:
    """Return the live subscribers, and then the expired ones. Raises BusError."""
    return [*bus.subscribers(), *bus.subscribers(expired=True)]


def print_subscribers(screen: Screen, found: list[Subscriber]) -> None:
    """Print subscribers once."""
    if screen.as_json:
        screen.value([to_json(one) for one in found])
    elif found:
        screen.table(subscriber_table(found, datetime.now(UTC)))
    else:
        screen.note("There are no subscribers.")


def subscriber_table(found: list[Subscriber], now: datetime) -> Table:
    """Return subscribers as a table: red if failing, expired or with dead letters, yellow in other states but ok."""
    return Table.of(_COLUMNS, [_row(one, now) for one in found], map(_colour, found))


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


def _watch(screen: Screen, find: Callable[[], list[Subscriber]], found: list[Subscriber], interval: float) -> None:
    """Print subscribers every ``interval`` seconds. Continue while the bus does not answer."""
    problem = ""
    with _live_view(screen) as show:
        while True:
            show(found, problem)
            threading.Event().wait(interval)
            try:
                found, problem = find(), ""
            except (Unreachable, Unavailable) as error:
                problem = f" ({escape(str(error))})"


@contextmanager
def _live_view(screen: Screen) -> Iterator[Callable[[list[Subscriber], str], None]]:
    """Provide what prints subscribers: over the ones before on a terminal, else below them."""
    if screen.as_json or not screen.terminal:
        yield lambda found, problem: screen.note(problem.strip()) if problem else print_subscribers(screen, found)
        return
    with screen.live_table() as show:
        yield lambda found, problem: show(subscriber_table(found, datetime.now(UTC)), title(found, problem))


def title(found: list[Subscriber], problem: str) -> str:
    """Return the line above a table that is kept up to date."""
    return f"{pluralize(len(found), 'subscriber')}, {datetime.now().astimezone():%H:%M:%S}{problem}"
