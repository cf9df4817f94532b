"""From what a journal held to lanes that carry on."""

import logging

from eventbus.clock import Clock
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.health import Rules
from eventbus.delivery.lane import Lane
from eventbus.delivery.place import lane_of
from eventbus.journal.base import Journal
from eventbus.model import LaneRecord, Recovered

#: Events that are offered again in one step.
PAGE = 2_000
#: Samples of events' times that are read, so that ages are known.
SAMPLES = 64

log = logging.getLogger(__name__)


def restore(recovered: Recovered, journal: Journal, dispatcher: Dispatcher, rules: Rules, clock: Clock) -> list[Lane]:
    """Put the lanes back, and offer them what they had not been offered when the last process ended.

    Every lease gets a full fresh term, since nobody could renew while the bus was away.
    """
    lanes = [_lane(record, recovered, rules, clock) for record in recovered.lanes]
    for lane in lanes:
        dispatcher.add(lane)
        if lane.ended_at is not None and not lane.subscriber.options.resume:
            dispatcher.unindex(lane)
    _offer_again(recovered, journal, dispatcher)
    dispatcher.recent.start(recovered.last_seq)
    _sample_ages(recovered, journal, dispatcher)
    return lanes


def _lane(record: LaneRecord, recovered: Recovered, rules: Rules, clock: Clock) -> Lane:
    now, wall = clock.monotonic(), clock.wall()
    ends = now + record.subscriber.options.lease_seconds if record.ended_at is None else now
    deferred = recovered.deferred.get(record.subscriber.key, 0)
    lane = lane_of(record, rules, deferred=deferred, ends=ends, now=now, wall=wall)
    scanned = max(record.scanned, recovered.scanned)
    if not lane.live.left:
        lane.live.cursor = max(lane.live.cursor, scanned)
    return lane


def _offer_again(recovered: Recovered, journal: Journal, dispatcher: Dispatcher) -> None:
    scanned = {record.subscriber.key: record.scanned for record in recovered.lanes}
    cursor = recovered.scanned
    while rows := journal.topics(cursor, recovered.last_seq, PAGE):
        for seq, topic, _ in rows:
            for lane in dispatcher.matching(topic):
                if seq > scanned[lane.subscriber.key]:
                    lane.accepted += 1
                    lane.live.behind += 1
                    lane.touch()
        cursor = rows[-1][0]


def _sample_ages(recovered: Recovered, journal: Journal, dispatcher: Dispatcher) -> None:
    first = next((seq for seq, _, _ in journal.topics(0, recovered.last_seq, 1)), recovered.last_seq)
    step = max(1, (recovered.last_seq - first) // SAMPLES)
    for place in range(first - 1, recovered.last_seq, step):
        for seq, _, at in journal.topics(place, recovered.last_seq, 1):
            dispatcher.ages.note(seq, at)
