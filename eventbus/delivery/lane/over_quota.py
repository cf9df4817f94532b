"""How a subscription over its quota of the journal gives up its oldest pending deliveries, part by part. Pure."""

from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.ranges import Range
from eventbus.delivery.lane.retries import Delivery

#: Why a delivery is dead whose event the journal had no room for any longer.
JOURNAL_QUOTA = "journal quota"


def give_up_ready(lane: Lane, end: int, now: float, wall: float) -> None:
    """Dead-letter what waits for its first attempt, up to a number, as far as it is in memory."""
    for part in lane.ranges():
        while part.buffered and part.buffered[0] <= end:
            lane.dead_letter(Delivery(part.buffered.popleft(), part.replay_id), JOURNAL_QUOTA, b"", now, wall)


def unread_part(lane: Lane, end: int) -> Range | None:
    """A stretch with deliveries up to a number that are only in the journal."""
    return next((s for s in lane.ranges() if s.remaining and not s.buffered and s.cursor < end), None)
