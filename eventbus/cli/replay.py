"""``eventbus replay``: delivers a range of the journal to a subscriber again."""

import threading
from dataclasses import dataclass

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed
from eventbus.cli.positions import count_events_between, position_option
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import Bus, Subscriber
from eventbus.client.events import Position

#: Seconds between two questions how far it is.
POLL_INTERVAL_SECONDS = 0.5


@command(
    "replay",
    "eventbus replay localhost:8001 --from 2026-11-24T06:00:00Z --dry-run",
    "eventbus replay localhost:8001 --from earliest",
    "eventbus replay localhost:8001 --from 2026-11-24T06:00:00Z --to 2026-11-24T07:00:00Z --no-wait",
)
@click.argument("address")
@position_option("--from", "start", "The first: 'earliest', an event's id, or a time.", required=True)
@position_option("--to", "end", "The last: 'now', an event's id, or a time.", default="now")
@click.option("--dry-run", is_flag=True, help="Only count the events, by reading the journal.")
@click.option("--no-wait", is_flag=True, help="Do not wait until they have been delivered.")
@with_context
def replay(context: CommandContext, address: str, start: Position, end: Position, dry_run: bool, no_wait: bool) -> None:  # noqa: FBT001 - click names them
    """Deliver a range of the journal to a subscriber again.

    Those events that match its topics, at its own pace; prints how many. Waits until they are delivered or dead:
    Ctrl-C ends the waiting, not the replay.
    """
    with context.bus() as bus:
        if dry_run:
            topics = find_subscriber(bus, address).topics
            _print_count(context.screen, count_events_between(bus, topics, start, end), "would be replayed")
            return
        before = SettledCount.of(find_subscriber(bus, address))
        count = bus.replay(address, start=start or "", end=end or "now")
        _print_count(context.screen, count, "are replayed" if count != 1 else "is replayed")
        if count and not no_wait:
            _wait(context.screen, bus, address, before)


@dataclass(frozen=True, slots=True)
class SettledCount:
    """How many of a subscriber's deliveries are settled, and how many are pending."""

    settled: int
    pending: int

    @classmethod
    def of(cls, one: Subscriber) -> "SettledCount":
        """Read the counts of a subscriber."""
        return cls(one.delivered + one.dead + one.discarded, one.pending)

    def done(self, now: "SettledCount", total: int) -> int:
        """Return how many of ``total`` have been settled since these counts."""
        return total if not now.pending else min(total, max(0, now.settled - self.settled))


def find_subscriber(bus: Bus, address: str) -> Subscriber:
    """Return the subscriber with this address, in any spelling. Raises CommandFailed where it is not registered."""
    for one in bus.subscribers():
        if canonical_address(one.address) == canonical_address(address):
            return one
    raise CommandFailed(f"{escape(address)} is not registered; 'eventbus subscribers' lists who is.")


def canonical_address(address: str) -> str:
    """Return the one spelling of an address: without case, default port and last slash."""
    scheme, separator, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    default = ":443" if scheme.lower() == "https" else ":80"
    kept = f"{scheme}{separator}".lower() if scheme.lower() == "https" else ""
    return f"{kept}{authority.lower().removesuffix(default)}{(slash + path).rstrip('/')}"


def _wait(screen: Screen, bus: Bus, address: str, before: SettledCount) -> None:
    """Follow the subscriber until everything that was pending at the start is settled."""
    one = find_subscriber(bus, address)
    now = SettledCount.of(one)
    total = now.pending + now.settled - before.settled
    with screen.progress("delivered", total) as show:
        while (done := before.done(now, total)) < total:
            show(done, "" if one.state == "ok" else escape(f"{one.state}: {one.last_error or ''}".rstrip(": ")))
            threading.Event().wait(POLL_INTERVAL_SECONDS)
            one = find_subscriber(bus, address)
            now = SettledCount.of(one)
        show(total)


def _print_count(screen: Screen, count: int, what: str) -> None:
    if screen.as_json:
        screen.value({"events": count})
    else:
        screen.line(str(count))
        screen.note(f"{pluralize(count, 'event')} {what}.")
