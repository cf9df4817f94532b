"""What became of one event, for each subscriber."""

import math
from dataclasses import dataclass

from eventbus.core.errors import NotFound
from eventbus.core.model import Event, LaneRecord, Retry
from eventbus.delivery.lane.lane import Lane
from eventbus.services.node import Node

#: Subscribers whose lease has ended that are looked at.
MAX_ENDED = 1_000


@dataclass(frozen=True, slots=True)
class Fate:
    """One event for one subscriber: pending, delivered, dead or discarded; with its deferral where it waits."""

    address: str
    state: str
    deferral: Retry | None = None


class History:
    """Looks events up."""

    def __init__(self, node: Node) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal

    def of(self, event_id: str) -> tuple[Event, list[Fate]]:
        """An event, and its fate for each subscriber that it was accepted for. Raises NotFound."""
        event = self._journal.event(event_id)
        if event is None:
            raise NotFound(f"Event {event_id[:80]!r} is not in the journal.")
        self._dispatcher.checkpointer.save()
        waiting = {row.key: row for row in self._journal.retries_of_event(event.seq)}
        badly = dict(self._journal.failed_deliveries(event.seq))
        fates = [_fate(lane, event, waiting, badly) for lane in list(self._dispatcher.lanes.values())]
        ended = self._journal.closed_lanes(math.inf, MAX_ENDED)
        fates += [_past_fate(record, event, badly) for record in ended]
        return event, sorted((fate for fate in fates if fate is not None), key=lambda fate: fate.address)


def _fate(lane: Lane, event: Event, waiting: dict[str, Retry], badly: dict[str, str]) -> Fate | None:
    key, shown = lane.subscriber.key, lane.subscriber.address.text
    if key in waiting or lane.holds(event.seq, event.topic):
        return Fate(shown, "pending", waiting.get(key))
    if key in badly:
        return Fate(shown, badly[key])
    spans = (*lane.interests, *lane.replayed)
    return Fate(shown, "delivered") if any(span.covers(event.seq, event.topic) for span in spans) else None


def _past_fate(record: LaneRecord, event: Event, badly: dict[str, str]) -> Fate | None:
    key, shown = record.subscriber.key, record.subscriber.address.text
    if key in badly:
        return Fate(shown, badly[key])
    spans = (*record.interests, *record.replayed)
    return Fate(shown, "delivered") if any(span.covers(event.seq, event.topic) for span in spans) else None
