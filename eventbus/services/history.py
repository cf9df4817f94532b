"""The history of one event: what became of it for each subscription."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eventbus.core.errors import NotFound
from eventbus.core.model import Event, Group, Interest, Subscription
from eventbus.core.records import LaneRecord, Retry
from eventbus.delivery.lane.lane import Lane
from eventbus.services.node import Node

#: Ended registrations that are read.
MAX_ENDED_RECORDS = 1_000


@dataclass(frozen=True, slots=True)
class Fate:
    """One event for one subscriber: pending, delivered, dead or discarded; with its retry where it waits for one."""

    address: str | None  #: None for a group
    group: str | None
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
        return event, sorted(found, key=lambda fate: fate.address or fate.group or "")


def _fate(lane: Lane, event: Event, waiting: dict[str, Retry], failed: dict[str, str]) -> Fate | None:
    key, whose = lane.subscriber.key, _identity(lane.subscriber)
    if key in waiting or lane.holds(event.seq, event.topic):
        return Fate(*whose, "pending", waiting.get(key))
    return _settled(whose, event, (*lane.interests, *lane.replayed), failed.get(key))


def _past_fate(record: LaneRecord, event: Event, failed: dict[str, str]) -> Fate | None:
    key, whose = record.subscriber.key, _identity(record.subscriber)
    return _settled(whose, event, (*record.interests, *record.replayed), failed.get(key))


def _settled(
    whose: tuple[str | None, str | None], event: Event, spans: Sequence[Interest], failed: str | None
) -> Fate | None:
    """Return the fate of an event that is not pending; None where it was not accepted for the subscriber.

    ``failed``: dead, or in a range that was discarded, where other events may be for other subscribers.
    """
    if failed == "dead" or any(span.covers(event.seq, event.topic) for span in spans):
        return Fate(*whose, failed or "delivered")
    return None


def _identity(subscriber: Subscription) -> tuple[str | None, str | None]:
    """Return the address and the group, one of which is None."""
    return (None, subscriber.name) if isinstance(subscriber, Group) else (subscriber.text, None)
