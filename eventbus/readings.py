"""Reads off the lanes what the metrics and the dashboard show."""

from collections.abc import Sequence

from eventbus.bus import Bus
from eventbus.delivery.lane import Lane
from eventbus.model import State
from eventbus.telemetry.metrics import OTHER, Readings, SubscriberReadings

#: Subscribers that have series of their own.
NAMED = 100


def readings_of(bus: Bus) -> Readings:
    """What is measured, at this moment."""
    lanes, now = bus.subscribers(), bus.clock.monotonic()
    states = dict.fromkeys(map(str, State), 0)
    for lane in lanes:
        states[lane.state_at(now)] += 1
    each = [_of_one(bus, lane) for lane in lanes]
    whole = _together(each)
    return Readings(
        states=states,
        pending=whole.pending,
        in_flight=bus.dispatcher.busy,
        dead=whole.dead,
        oldest_pending_seconds=whole.oldest_pending_seconds,
        journal_bytes=bus.retention.bytes,
        journal_max_bytes=bus.settings.journal_max_bytes,
        loop_lag_seconds=bus.dispatcher.load.lag(),
        subscribers=(*each[:NAMED], *([_together(each[NAMED:])] if len(each) > NAMED else ())),
    )


def _of_one(bus: Bus, lane: Lane) -> SubscriberReadings:
    return SubscriberReadings(
        lane.subscriber.key,
        lane.backlog,
        bus.oldest_pending_seconds(lane),
        lane.delivered,
        lane.failed_attempts,
        lane.dead,
    )


def _together(several: Sequence[SubscriberReadings]) -> SubscriberReadings:
    return SubscriberReadings(
        OTHER,
        sum(each.pending for each in several),
        max((each.oldest_pending_seconds for each in several), default=0.0),
        sum(each.delivered for each in several),
        sum(each.failed_attempts for each in several),
        sum(each.dead for each in several),
    )
