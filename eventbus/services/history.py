"""The history of one event: what became of it for each subscription."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from eventbus.core.errors import NotFound
from eventbus.core.event_view import EventView
from eventbus.core.filters import parse_filter
from eventbus.core.model import Event, Interest, Subscription
from eventbus.core.records import FailedDelivery, LaneRecord, Retry
from eventbus.delivery.lane.interests import filter_of
from eventbus.delivery.lane.lane import Lane
from eventbus.services.attempt_history import AttemptHistory
from eventbus.services.node import Node
from eventbus.telemetry.attempt_ring import Attempt

#: Ended registrations that are read, and attempts of one delivery that are returned.
MAX_ENDED_RECORDS, MAX_TIMELINE = 1_000, 50
#: Lanes after which other greenlets may run.
YIELD_EVERY_LANES = 200


@dataclass(frozen=True, slots=True)
class Fate:
    """One event for one subscriber: pending, delivered, filtered, dead or discarded.

    It has its retry if it waits for one, how it failed if it is dead or discarded, and the newest of its attempts that
    this process knows, the oldest first.
    """

    subscription: Subscription
    state: str
    deferral: Retry | None = None
    failed: FailedDelivery | None = None
    attempts: Sequence[Attempt] = ()


class _Chosen(NamedTuple):
    """An event that is settled for a subscriber, and the filters of which one has let it through, if it was."""

    subscription: Subscription
    filters: tuple[str, ...]


class History:
    """Looks up what became of events."""

    def __init__(self, node: Node) -> None:
        self.attempts = AttemptHistory(node)
        self._dispatcher = node.dispatcher
        self._journal = node.journal

    def of(self, event_id: str) -> tuple[Event, list[Fate]]:
        """Return an event, and its fate for each subscriber that it was accepted for. Raises NotFound."""
        event = self._journal.event(event_id)
        if event is None:
            raise NotFound(f"Event {event_id[:80]!r} is not in the journal.")
        self._dispatcher.checkpointer.save()
        known = self.attempts.of_event(event_id)
        fates = ((fate, known.get(fate.subscription.key, ())) for fate in self.fates(event))
        return event, [replace(fate, attempts=attempts[-MAX_TIMELINE:]) for fate, attempts in fates]

    def fates(self, event: Event, *, replays: bool = True) -> list[Fate]:
        """Return an event's fate for each subscriber that it was accepted for, as far as that is saved.

        Without ``replays`` only its first deliveries count. What may just have changed is pending. Raises JournalError.
        """
        lanes = list(self._dispatcher.lanes.values())
        lost = [lane.dead + lane.discarded for lane in lanes]
        rows = self._journal.retries_of_event(event.seq)
        waiting = {row.key: row for row in rows if replays or not row.replay_id}
        failed = {one.key: one for one in self._journal.failed_deliveries(event.seq)}
        ended = self._journal.closed_lanes(math.inf, MAX_ENDED_RECORDS)
        unread = event.seq > self._dispatcher.recent.newest  # on Redis another node may have published it just now
        looked_at = _LookedAt(event, failed, waiting, replays=replays, unread=unread)
        found = {record.subscriber.key: _settled(record, looked_at) for record in ended}
        for number, (lane, before) in enumerate(zip(lanes, lost, strict=True), 1):
            key = lane.subscriber.key
            if not lane.closed or key not in found:  # else it has ended just now
                found[key] = _fate(lane, looked_at, before)
            if number % YIELD_EVERY_LANES == 0:
                self._dispatcher.load.give_way()
        fates = self._with_filters([one for one in found.values() if one is not None], EventView(event))
        return sorted(fates, key=lambda fate: fate.subscription.text)

    def _with_filters(self, found: Sequence[Fate | _Chosen], view: EventView) -> Iterator[Fate]:
        """Yield fates, where a filter decides by what it says of the event; give way to other work in between.

        What lanes have was looked at before. Subscriptions with the same filter ask it once.
        """
        results: dict[str, bool] = {"": True}
        for one in found:
            if isinstance(one, Fate):
                yield one
                continue
            for text in one.filters:
                if text not in results:
                    self._dispatcher.load.give_way()
                    results[text] = _matches(text, view)
            yield Fate(one.subscription, "delivered" if any(results[text] for text in one.filters) else "filtered")


class _LookedAt(NamedTuple):
    """An event, how it failed and its retries, by lane; and whether lanes have been offered it yet."""

    event: Event
    failed: Mapping[str, FailedDelivery]
    waiting: Mapping[str, Retry]
    replays: bool
    unread: bool


def _fate(lane: Lane, looked_at: _LookedAt, lost: int) -> Fate | _Chosen | None:
    """Return the fate of an event in a lane, which had so many dead and discarded when the journal was read."""
    key, event = lane.subscriber.key, looked_at.event
    holds = lane.holds if looked_at.replays else lane.holds_first
    unsaved = any(discard.first <= event.seq <= discard.last for discard in lane.discards)
    waits = key in looked_at.waiting or holds(event.seq, event.topic) or (looked_at.unread and _covers(lane, event))
    if unsaved or waits:
        return Fate(lane.subscriber, "pending", looked_at.waiting.get(key))
    settled = _settled(lane, looked_at)
    if settled is not None and lane.dead + lane.discarded != lost and key not in looked_at.failed:
        return Fate(lane.subscriber, "pending")
    return settled


def _covers(of: Lane | LaneRecord, event: Event, spans: Collection[Interest] | None = None) -> bool:
    return any(span.covers(event.seq, event.topic) for span in (of.interests if spans is None else spans))


def _settled(of: Lane | LaneRecord, looked_at: _LookedAt) -> Fate | _Chosen | None:
    """Return the fate of an event that is not pending; None where it was not accepted for the subscriber.

    It failed where it is dead, or in a range that was discarded, where other events may be for other subscribers.
    """
    event = looked_at.event
    failed = looked_at.failed.get(of.subscriber.key)
    live, again = _covers(of, event), looked_at.replays and _covers(of, event, of.replayed)
    if not live and not again and (failed is None or failed.state != "dead" or not looked_at.replays):
        return None
    if failed is not None:
        return Fate(of.subscriber, failed.state, failed=failed)
    current = of.subscriber.options.filter
    filters = [filter_of(event.seq, of.former_filters, current)] if live else []
    return _Chosen(of.subscriber, (*filters, current) if again else tuple(filters))


def _matches(text: str, view: EventView) -> bool:
    found = parse_filter(text)
    return found is None or found.matches(view)
