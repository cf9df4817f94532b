"""``eventbus subscribers``: who gets what, and how each is doing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from eventbus.cli.command import command
from eventbus.cli.reach import Reach, reaching
from eventbus.cli.safe import safe
from eventbus.cli.screen import Screen, counted
from eventbus.cli.shown import ago, as_json
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
_CLEAR = "\x1b[H\x1b[J"


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
@reaching
def subscribers(reach: Reach, live: bool, watch: bool, interval: float) -> None:  # noqa: FBT001 - click names it
    """Show the subscribers, live and expired, and how each is."""
    with reach.bus() as bus:

        def find() -> list[Subscriber]:
            return bus.subscribers() if live else everyone(bus)

        found = find()
        if watch:
            _watch(reach.screen, find, found, interval)
        else:
            show(reach.screen, found)


def everyone(bus: Bus) -> list[Subscriber]:
    """Live subscribers, and then expired ones."""
    return [*bus.subscribers(), *bus.subscribers(expired=True)]


def show(screen: Screen, found: list[Subscriber]) -> None:
    """Print them once."""
    if screen.as_json:
        screen.value([as_json(one) for one in found])
    elif found:
        screen.table(table_of(found, datetime.now(UTC)))
    else:
        screen.note("There are no subscribers.")


def table_of(found: list[Subscriber], now: datetime) -> Table:
    """Subscribers as a table; red is who is failing, expired or has dead letters, yellow who waits."""
    return table(_COLUMNS, [_row(one, now) for one in found], [_colour(one) for one in found])


def _colour(one: Subscriber) -> str:
    if one.dead or one.state in ("expired", "failing"):
        return "red"
    return "" if one.state in ("new", "ok") else "yellow"


def _row(one: Subscriber, now: datetime) -> tuple[object, ...]:
    counts = (f"{one.delivered:,}", f"{one.dead:,}")
    left = ago(abs((one.expires_at - now).total_seconds()))
    lease = f"{left} ago" if one.state == "expired" else left
    topics = ", ".join(one.topics) or ">"
    oldest = ago(one.oldest_pending_seconds) if one.pending else ""
    return (one.address, one.state, f"{one.pending:,}", oldest, *counts, lease, topics, one.last_error)


def _watch(screen: Screen, find: Callable[[], list[Subscriber]], found: list[Subscriber], interval: float) -> None:
    """Print them again and again; a bus that is away for a while is waited for."""
    trouble = ""
    with _shown_again(screen) as show_again:
        while True:
            show_again(found, trouble)
            threading.Event().wait(interval)
            try:
                found, trouble = find(), ""
            except (Unreachable, Unavailable) as error:
                trouble = f" ({safe(str(error))})"


@contextmanager
def _shown_again(screen: Screen) -> Iterator[Callable[[list[Subscriber], str], None]]:
    """What prints them over what was printed before, on a terminal, else below it."""
    if screen.as_json or not screen.terminal:
        yield lambda found, trouble: screen.note(trouble.strip()) if trouble else show(screen, found)
    elif screen.rich:
        from eventbus.cli.with_rich import LiveTable  # noqa: PLC0415 - rich may not be there

        with LiveTable(colour=screen.colour) as live:
            yield lambda found, trouble: live.show(table_of(found, datetime.now(UTC)), title(found, trouble))
    else:
        yield lambda found, trouble: screen.line(_CLEAR + "\n".join([title(found, trouble), *_lines(found)]))


def _lines(found: list[Subscriber]) -> list[str]:
    return plain(table_of(found, datetime.now(UTC)))


def title(found: list[Subscriber], trouble: str) -> str:
    """What stands above a table that is kept up to date."""
    return f"{counted(len(found), 'subscriber')}, {datetime.now().astimezone():%H:%M:%S}{trouble}"
