"""Recovery: makes lanes of what a journal holds, and offers them what they have missed."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from eventbus.core.clock import Clock
from eventbus.core.leases import end_of_term
from eventbus.core.records import LaneRecord, Recovered
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.fan_out import Share, fan_out
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of
from eventbus.delivery.topic_index import TopicIndex
from eventbus.journal.base import Journal

#: Samples of events' times that are read, so that ages are known.
MAX_TIME_SAMPLES = 64

#: See eventbus.delivery.fan_out.
FanOut = Callable[[Sequence[int], Sequence[str | None]], Iterable[Share[Lane]]]

log = logging.getLogger(__name__)


def restore(recovered: Recovered, journal: Journal, dispatcher: Dispatcher, rules: Rules, clock: Clock) -> list[Lane]:
    """Put the lanes back, and offer them what they had not been offered when the last process ended.

    Every lease gets a full fresh term, since nobody could renew while the bus was away.
    """
    lanes = [
        _lane(
            record,
            recovered.retries.get(record.subscriber.key, 0),
            max(record.scanned, recovered.scanned),
            rules,
            clock,
        )
        for record in recovered.lanes
    ]
    _put_back(lanes, dispatcher)
    _offer_again(recovered, journal, dispatcher, rules.limits.recovery_page_events)
    dispatcher.recent.start(recovered.last_seq)
    _sample_event_times(recovered, journal, dispatcher)
    return lanes


def adopt(
    kept: Sequence[tuple[LaneRecord, int]], journal: Journal, dispatcher: Dispatcher, rules: Rules, clock: Clock
) -> list[Lane]:
    """Put back lanes that a peer owned, and offer them what has come since it saved them last.

    Events go on coming meanwhile: the lanes are in the dispatcher when none is missing.
    """
    lanes = [_lane(record, count, record.scanned, rules, clock) for record, count in kept]
    for lane in lanes:
        lane.mark_not_durable()  # its subscriber may have got an answer that left this open
    index: TopicIndex[Lane] = TopicIndex()
    for lane in lanes:
        if not _is_over(lane):
            index.put(lane.subscriber.key, lane.subscriber.options.topics, lane)
    scanned, page = {record.subscriber.key: record.scanned for record, _ in kept}, rules.limits.recovery_page_events
    cursor = min(scanned.values(), default=dispatcher.recent.newest)
    while cursor < dispatcher.recent.newest:
        newest = dispatcher.recent.newest
        rows = journal.topics(cursor, newest, page)
        _offer(rows, partial(fan_out, index=index), scanned)
        dispatcher.load.give_way()
        cursor = rows[-1][0] if len(rows) == page else newest
    _put_back(lanes, dispatcher)
    return lanes


def _put_back(lanes: Sequence[Lane], dispatcher: Dispatcher) -> None:
    for lane in lanes:
        dispatcher.registry.add(lane)
        if _is_over(lane):
            dispatcher.registry.unindex(lane)
            lane.mark_not_durable()  # so that its return is saved, whatever it asks for


def _is_over(lane: Lane) -> bool:
    """Return whether a lane is offered nothing new, since its lease has expired for good."""
    return lane.ended_at is not None and not lane.subscriber.options.resume


def _lane(record: LaneRecord, retries: int, scanned: int, rules: Rules, clock: Clock) -> Lane:
    now, wall = clock.monotonic(), clock.wall()
    ends = end_of_term(record.subscriber, now) if record.ended_at is None else now
    lane = lane_of(record, rules, retries=retries, ends=ends, now=now, wall=wall)
    lane.skip_to(scanned)
    return lane


def _offer_again(recovered: Recovered, journal: Journal, dispatcher: Dispatcher, page: int) -> None:
    scanned = {record.subscriber.key: record.scanned for record in recovered.lanes}
    cursor = recovered.scanned
    while rows := journal.topics(cursor, recovered.last_seq, page):
        _offer(rows, dispatcher.registry.fan_out, scanned)
        cursor = rows[-1][0]


def _offer(rows: Sequence[tuple[int, str | None, float]], shares_of: FanOut, scanned: Mapping[str, int]) -> None:
    """Count events as pending for the lanes that match and had not been offered them."""
    for lanes, seqs in shares_of([row[0] for row in rows], [row[1] for row in rows]) if rows else ():
        for lane in lanes:
            if new := len(seqs) - bisect_right(seqs, scanned[lane.subscriber.key]):
                lane.offer_unread(new)


def _sample_event_times(recovered: Recovered, journal: Journal, dispatcher: Dispatcher) -> None:
    first = next((seq for seq, _, _ in journal.topics(0, recovered.last_seq, 1)), recovered.last_seq)
    step = max(1, (recovered.last_seq - first) // MAX_TIME_SAMPLES)
    for cursor in range(first - 1, recovered.last_seq, step):
        for seq, _, at in journal.topics(cursor, recovered.last_seq, 1):
            dispatcher.event_times.note(seq, at)
