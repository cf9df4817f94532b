"""Skips: pending deliveries of one event become dead letters, since an operator says so. Pure.

What waits is taken out of its lane first, and counts as in flight until its dead letter is saved. What is in flight
may still be delivered; else it is dead, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from eventbus.core.model import Event
from eventbus.core.records import DeadLetter, LaneRecord
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.failures import SKIPPED
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of
from eventbus.delivery.lane.ranges import Range


@dataclass(frozen=True, slots=True)
class Found:
    """The pending deliveries of one event: those that waited, and those in flight."""

    waiting: tuple[Delivery, ...]
    in_flight: tuple[Delivery, ...]

    def __bool__(self) -> bool:
        return bool(self.waiting or self.in_flight)

    @property
    def marked(self) -> tuple[Delivery, ...]:
        """Return those in flight that are not skipped yet."""
        return tuple(delivery for delivery in self.in_flight if delivery.skipped is None)


def waits_behind_key(lane: Lane, event: Event) -> bool:
    """Return whether an event may wait for its order key: then the lane has to be unloaded before it is taken out.

    A lane without replays has one delivery of an event at most: where that is found elsewhere, none waits.
    """
    retries = lane.retries
    if not isinstance(retries, KeyedRetries) or not retries.loaded or not event.key:
        return False
    if lane.runs:
        return True
    if retries.leads(event.seq):
        return False
    in_flight = any(delivery.seq == event.seq for delivery in lane.in_flight)
    return not in_flight and not any(_waits_in(lane, part, event) for part in lane.ranges())


def take_out(lane: Lane, event: Event, rows: Iterable[Delivery]) -> Found:
    """Take the deliveries of an event out of those that wait; ``rows`` were read since the retries' ``begin_load``.

    Raises TooMany.
    """
    in_flight = tuple(delivery for delivery in lane.in_flight if delivery.seq == event.seq)
    parts = [part for part in lane.ranges() if _waits_in(lane, part, event)]
    for part in parts:
        part.check_skips()
    for part in parts:
        part.take_out(event.seq)
    waiting = lane.retries.take_out(event.seq)
    waiting += [Delivery(event.seq, part.replay_id, order_key=event.key) for part in parts]
    for delivery in waiting:
        lane.withhold(delivery)
    if isinstance(lane.retries, KeyedRetries) and lane.retries.loaded:
        rows = [delivery for delivery in rows if not delivery.order_key]  # the others are in memory
    for delivery in lane.retries.take_rows(rows, lane.in_flight):
        lane.withhold(delivery)
        waiting.append(delivery)
    return Found(tuple(waiting), in_flight)


def _waits_in(lane: Lane, part: Range, event: Event) -> bool:
    """Return whether an event waits in a range for its first attempt."""
    if part.has(event.seq):
        return True
    ends_before = part.end is not None and part.end < event.seq
    return bool(part.remaining and part.cursor < event.seq and not ends_before) and lane.covers(
        part, event.seq, event.topic
    )


def skipped_record(lane: Lane, found: Found, scanned: int, now: float, wall: float) -> LaneRecord:
    """Return the record of a lane once what was found is skipped."""
    record = record_of(lane, scanned, now, wall)
    gone = {(delivery.seq, delivery.replay_id) for delivery in found.waiting}
    return replace(
        record,
        in_flight=tuple(pair for pair in record.in_flight if pair not in gone),
        account=replace(record.account, dead=record.account.dead + len(found.waiting)),
        skipping=(*record.skipping, *letters_of(lane, found.marked, now, wall)),
    )


def letters_of(lane: Lane, deliveries: Iterable[Delivery], now: float, wall: float) -> tuple[DeadLetter, ...]:
    """Return the dead letters that deliveries become which are skipped."""
    return tuple(lane.letter_of(delivery, SKIPPED, b"", now, wall) for delivery in deliveries)


def settle(lane: Lane, found: Found, now: float, wall: float) -> None:
    """Apply in memory what is saved: what waited is dead, and so will be what is in flight unless it is delivered."""
    for delivery in found.waiting:
        lane.count_skipped(delivery)
    for delivery, letter in zip(found.marked, letters_of(lane, found.marked, now, wall), strict=True):
        if delivery in lane.in_flight:
            lane.skip_in_flight(delivery, letter)
