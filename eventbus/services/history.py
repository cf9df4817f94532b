"""The history of one event: what became of it for each subscription."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eventbus.core.errors import NotFound
from eventbus.core.model import Event, Interest, Subscription
from eventbus.core.records import LaneRecord, Retry
from eventbus.delivery.lane.lane import Lane
from eventbus.services.node import Node

#: Ended registrations that are read.
MAX_ENDED_RECORDS = 1_000


@dataclass(frozen=True, slots=True)
class Fate:
    """One event for one subscriber: pending, delivered, dead or discarded; with its retry where it waits for one."""

    subscription: Subscription
    state: str
    deferral: Retry | None = None


class History:
    """Looks up what became of events."""

    def __init__(self, node: Node) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal

    def of(self, event_id: str) -> tuple[Event, list[Fate]]:
        """Return an event, and its fate for each subscriber that it was accepted for. Raises NotFound."""
        event = self._journal.event(event_id)
        if event is None:
            raise NotFound(f"Event {event_id[:80]!r} is not in the journal.")
        self._dispatcher.checkpointer.save()
        waiting = {row.key: row for row in self._journal.retries_of_event(event.seq)}
        failed = dict(self._journal.failed_deliveries(event.seq))
        fates = [_fate(lane, event, waiting, failed) for lane in list(self._dispatcher.lanes.values())]
        ended = self._journal.closed_lanes(math.inf, MAX_ENDED_RECORDS)
        fates += [_past_fate(record, event, failed) for record in ended]
        found = [fate for fate in fates if fate is not None]
        return event, sorted(found, key=lambda fate: fate.subscription.text)


def _fate(lane: Lane, event: Event, waiting: dict[str, Retry], failed: dict[str, str]) -> Fate | None:
    key = lane.subscriber.key
    if key in waiting or lane.holds(event.seq, event.topic):
        return Fate(lane.subscriber, "pending", waiting.get(key))
    return _settled(lane.subscriber, event, (*lane.interests, *lane.replayed), failed.get(key))


def _past_fate(record: LaneRecord, event: Event, failed: dict[str, str]) -> Fate | None:
    whose = record.subscriber
    return _settled(whose, event, (*record.interests, *record.replayed), failed.get(whose.key))


def _settled(whose: Subscription, event: Event, spans: Sequence[Interest], failed: str | None) -> Fate | None:
    """Return the fate of an event that is not pending; None where it was not accepted for the subscriber.

    ``failed``: dead, or in a range that was discarded, where other events may be for other subscribers.
    """
    if failed == "dead" or any(span.covers(event.seq, event.topic) for span in spans):
        return Fate(whose, failed or "delivered")
    return None
