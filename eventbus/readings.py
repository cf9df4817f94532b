"""Reads off the lanes what the metrics show."""

from eventbus.bus import Bus
from eventbus.model import State
from eventbus.telemetry.metrics import Readings


def readings_of(bus: Bus) -> Readings:
    """What is measured, at this moment."""
    lanes, now = bus.subscribers(), bus.clock.monotonic()
    states = [lane.state_at(now) for lane in lanes]
    return Readings(
        subscribers=len(lanes),
        backing_off=states.count(State.BACKING_OFF),
        paused=states.count(State.PAUSED),
        pending=sum(lane.backlog for lane in lanes),
        in_flight=bus.dispatcher.busy,
        dead=sum(lane.dead for lane in lanes),
        delivered=sum(lane.delivered for lane in lanes),
        failed_attempts=sum(lane.failed_attempts for lane in lanes),
        oldest_pending_seconds=max((bus.oldest_pending_seconds(lane) for lane in lanes), default=0.0),
        accepted_events=bus.dispatcher.recent.newest - bus.first_seq,
        journal_bytes=bus.retention.bytes,
    )
