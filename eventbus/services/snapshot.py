"""Reads from the lanes what the metrics and the dashboard display."""

from collections import Counter
from collections.abc import Sequence

from eventbus.core.model import State
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.status import status
from eventbus.services.bus import Bus
from eventbus.telemetry.metrics import OTHER, Snapshot, SubscriberSnapshot

#: Subscribers that have series of their own.
MAX_NAMED = 100
#: The state of a member that drains, whatever else it is.
DRAINING = "draining"


def snapshot_of(bus: Bus) -> Snapshot:
    """Measure everything at this moment."""
    now = bus.clock.monotonic()
    live, expired = bus.subscribers(), bus.expired.lanes()
    each = [_of_one(bus, lane, now) for lane in (*live, *expired)]
    total = _sum_of(each)
    return Snapshot(
        states={**dict.fromkeys(map(str, State), 0), **total.states},
        pending=total.pending,
        in_flight=bus.dispatcher.busy,
        dead=total.dead + bus.expired.removed_dead,
        expired_dead=sum(lane.dead for lane in expired),
        oldest_pending_seconds=total.oldest_pending_seconds,
        journal_bytes=bus.retention.room.bytes,
        journal_max_bytes=bus.settings.journal_max_bytes,
        scheduled=bus.mover.count,
        scheduled_next_seconds=bus.mover.seconds_left,
        loop_lag_seconds=bus.dispatcher.load.lag(),
        certificate_expiry=bus.transport.certificate_expiry(),
        declared=bus.declared.count,
        declared_faults=bus.declared.faults,
        tokens=bus.tokens.count,
        tokens_faults=bus.tokens.faults,
        subscribers=(*each[:MAX_NAMED], *([_sum_of(each[MAX_NAMED:])] if len(each) > MAX_NAMED else ())),
    )


def _of_one(bus: Bus, lane: Lane, now: float) -> SubscriberSnapshot:
    return SubscriberSnapshot(
        _label(lane),
        {str(status(lane, now)): 1},
        Counter(DRAINING if member.draining else str(status(member, now)) for member in lane.roster or ()),
        lane.backlog,
        bus.oldest_pending_seconds(lane),
        lane.delivered,
        lane.failed_attempts,
        lane.dead,
        lane.filtered,
    )


def _label(lane: Lane) -> str:
    """Return the name of a group, or an address; a host name alone, which might be a group, gets its port."""
    text = lane.subscriber.text
    return text if lane.roster is not None or ":" in text or "/" in text else f"{text}:80"


def _sum_of(several: Sequence[SubscriberSnapshot]) -> SubscriberSnapshot:
    states: Counter[str] = Counter()
    members: Counter[str] = Counter()
    for each in several:
        states.update(each.states)
        members.update(each.members)
    return SubscriberSnapshot(
        OTHER,
        states,
        members,
        sum(each.pending for each in several),
        max((each.oldest_pending_seconds for each in several), default=0.0),
        sum(each.delivered for each in several),
        sum(each.failed_attempts for each in several),
        sum(each.dead for each in several),
        sum(each.filtered for each in several),
    )
