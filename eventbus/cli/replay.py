"""``eventbus replay``: delivers a range of the journal to a subscriber again."""

import threading
from dataclasses import dataclass

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.escape import escape
from eventbus.cli.named_subscription import NamedSubscription, with_named_subscription
from eventbus.cli.positions import count_events_between, position_option
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import Bus, Group, Subscriber
from eventbus.client.events import Position

#: Seconds between two questions how far it is.
POLL_INTERVAL_SECONDS = 0.5


@command(
    "replay",
    "eventbus replay localhost:8001 --from 2026-11-24T06:00:00Z --dry-run",
    "eventbus replay localhost:8001 --from earliest",
    "eventbus replay --group mailer --from earliest",
    "eventbus replay localhost:8001 --from 2026-11-24T06:00:00Z --to 2026-11-24T07:00:00Z --no-wait",
)
@with_named_subscription
@position_option("--from", "start", "The first: 'earliest', an event's id, or a time.", required=True)
@position_option("--to", "end", "The last: 'now', an event's id, or a time.", default="now")
@click.option("--dry-run", is_flag=True, help="Only count the events, by reading the journal.")
@click.option("--no-wait", is_flag=True, help="Do not wait until they have been delivered.")
@with_context
def replay(
    context: CommandContext,
    start: Position,
    end: Position,
    dry_run: bool,  # noqa: FBT001 - click names it
    no_wait: bool,  # noqa: FBT001 - click names it
    **named: str | None,
) -> None:
    """Deliver a range of the journal to a subscriber again.

    Those events that match its topics, at its own pace; prints how many. Waits until they are delivered or dead:
    Ctrl-C ends the waiting, not the replay.
    """
    whose = NamedSubscription(**named)
    whose.check()
    with context.bus() as bus:
        if dry_run:
            topics = whose.find(bus).topics
            _print_count(context.screen, count_events_between(bus, topics, start, end), "would be replayed")
            return
        before = SettledCount.of(whose.find(bus))
        count = bus.replay(**named, start=start or "", end=end or "now")
        _print_count(context.screen, count, "are replayed" if count != 1 else "is replayed")
        if count and not no_wait:
            _wait(context.screen, bus, whose, before)


@dataclass(frozen=True, slots=True)
class SettledCount:
    """How many of a subscriber's deliveries are settled, and how many are pending."""

    settled: int
    pending: int

    @classmethod
    def of(cls, one: Subscriber | Group) -> "SettledCount":
        """Read the counts of a subscriber."""
        return cls(one.delivered + one.filtered + one.dead + one.discarded, one.pending)

    def done(self, now: "SettledCount", total: int) -> int:
        """Return how many of ``total`` have been settled since these counts."""
        return total if not now.pending else min(total, max(0, now.settled - self.settled))


def _wait(screen: Screen, bus: Bus, whose: NamedSubscription, before: SettledCount) -> None:
    """Follow the subscriber until everything that was pending at the start is settled."""
    one = whose.find(bus)
    now = SettledCount.of(one)
    total = now.pending + now.settled - before.settled
    with screen.progress("delivered", total) as show:
        while (done := before.done(now, total)) < total:
            show(done, "" if one.state == "ok" else escape(f"{one.state}: {one.last_error or ''}".rstrip(": ")))
            threading.Event().wait(POLL_INTERVAL_SECONDS)
            one = whose.find(bus)
            now = SettledCount.of(one)
        show(total)


def _print_count(screen: Screen, count: int, what: str) -> None:
    if screen.as_json:
        screen.value({"events": count})
    else:
        screen.line(str(count))
        screen.note(f"{pluralize(count, 'event')} {what}.")
