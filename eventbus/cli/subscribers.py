"""``eventbus subscribers``: lists the subscribers, their state and their backlog."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.declared import print_drift
from eventbus.cli.escape import escape
from eventbus.cli.formatting import format_duration, to_json
from eventbus.cli.named_subscription import group_option
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import Bus, Group, Pause, Subscriber, SubscriberList
from eventbus.client.encoding import rfc3339
from eventbus.client.errors import Unavailable, Unreachable
from eventbus.core.target_path import with_path

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
    "eventbus subscribers --group mailer",
    "eventbus subscribers --declared subscribers.toml",
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
@click.option(
    "--declared",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Compare with a file of declared subscribers instead; else that of EVENTBUS_SUBSCRIBERS.",
)
@group_option
@with_context
def subscribers(
    context: CommandContext,
    live: bool,  # noqa: FBT001 - click names it
    watch: bool,  # noqa: FBT001 - click names it
    interval: float,
    declared: str | None,
    group: str | None,
) -> None:
    """Show the subscribers, live and expired, and how each is.

    A group is one row, with its account, and its members are below it. As JSON it follows the subscribers.
    With --declared: each that a file declares, and how it differs. Exit status 1 where one does.
    """
    with context.bus() as bus:
        if declared is not None:
            print_drift(context.screen, bus, declared)
            return

        def find() -> SubscriberList:
            found = bus.subscribers() if live else all_subscribers(bus)
            return found if group is None else _only(found, group)

        found = find()
        if watch:
            _watch(context.screen, find, found, interval)
        else:
            print_subscribers(context.screen, found)


def all_subscribers(bus: Bus) -> SubscriberList:
    """Return the live subscribers, and then the expired ones. Raises BusError."""
    live, expired = bus.subscribers(), bus.subscribers(expired=True)
    return SubscriberList([*live, *expired], [*live.groups, *expired.groups])


def _only(found: SubscriberList, group: str) -> SubscriberList:
    """Return one group and its members."""
    groups = (one for one in found.groups if one.group == group)
    return SubscriberList((one for one in found if one.group == group), groups)


def print_subscribers(screen: Screen, found: SubscriberList) -> None:
    """Print subscribers once."""
    if screen.as_json:
        screen.value([to_json(one) for one in (*found, *found.groups)])
    elif found or found.groups:
        screen.table(subscriber_table(found, datetime.now(UTC)))
    else:
        screen.note("There are no subscribers.")


def subscriber_table(found: SubscriberList, now: datetime) -> Table:
    """Return subscribers as a table: red if failing, expired or with dead letters, yellow in other states but ok."""
    rows = sorted((one for one in (*found, *found.groups)), key=_order)
    return Table.of(_COLUMNS, [_row(one, now) for one in rows], map(_colour, rows))


def _order(one: Subscriber | Group) -> tuple[str, bool, str]:
    """Return the order of rows: by group or address, and below a group its members."""
    if isinstance(one, Group):
        return one.group, False, ""
    return one.group or with_path(one.address, one.path), True, with_path(one.address, one.path)


def _colour(one: Subscriber | Group) -> str:
    if one.dead or one.state in ("expired", "failing"):
        return "red"
    return "" if one.state in ("new", "ok") else "yellow"


def _row(one: Subscriber | Group, now: datetime) -> tuple[object, ...]:
    state = f"{one.state}, draining" if one.draining else one.state
    topics = ", ".join(one.topics) or ">"
    oldest = format_duration(one.oldest_pending_seconds) if one.pending else ""
    counts = (f"{one.pending:,}", oldest, f"{one.delivered:,}", f"{one.dead:,}")
    return (_name(one), state, *counts, _lease_left(one, now), topics, _trouble(one))


def _trouble(one: Subscriber | Group) -> str | None:
    """Return which operator's pause lasts, which keys are held, or else what went wrong last."""
    if one.pause is not None and one.pause.by == "operator":
        return pause_text(one.pause)
    held = one.oldest_held_key
    if held is None:
        return one.last_error
    keys, times = pluralize(one.held_keys, "held key"), pluralize(held.attempts, "attempt")
    return f"{keys}; {held.key} behind {held.event or 'an event'} after {times}: {held.error}"


def pause_text(pause: Pause) -> str:
    """Return who has paused a subscriber, since when and until when."""
    since = "" if pause.since is None else f" since {rfc3339(pause.since)}"
    until = "it is resumed" if pause.until is None else rfc3339(pause.until)
    return f"paused by {'an operator' if pause.by == 'operator' else 'itself'}{since}, until {until}"


def _name(one: Subscriber | Group) -> str:
    if isinstance(one, Group):
        return f"{one.group} ({pluralize(len(one.members), 'member')})"
    name = with_path(one.address, one.path)
    return name if one.group is None else f"  {name}"


def _lease_left(one: Subscriber | Group, now: datetime) -> str:
    """Return how long the lease has left; that of a group that has members ends with theirs."""
    if one.expires_at is None:
        return "" if isinstance(one, Group) else "declared"
    left = format_duration(abs((one.expires_at - now).total_seconds()))
    return f"{left} ago" if one.state == "expired" else left


def _watch(screen: Screen, find: Callable[[], SubscriberList], found: SubscriberList, interval: float) -> None:
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
def _live_view(screen: Screen) -> Iterator[Callable[[SubscriberList, str], None]]:
    """Provide what prints subscribers: over the ones before on a terminal, else below them."""
    if screen.as_json or not screen.terminal:
        yield lambda found, problem: screen.note(problem.strip()) if problem else print_subscribers(screen, found)
        return
    with screen.live_table() as show:
        yield lambda found, problem: show(subscriber_table(found, datetime.now(UTC)), title(found, problem))


def title(found: SubscriberList, problem: str) -> str:
    """Return the line above a table that is kept up to date."""
    count = sum(one.group is None for one in found) + len(found.groups)
    return f"{pluralize(count, 'subscriber')}, {datetime.now().astimezone():%H:%M:%S}{problem}"
