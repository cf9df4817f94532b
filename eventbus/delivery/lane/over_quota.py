"""How a subscription over its quota of the journal gives up its oldest pending deliveries, part by part. Pure."""

from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.ranges import Stretch
from eventbus.delivery.lane.retries import Delivery

#: Why a delivery is dead whose event the journal had no room for any longer.
JOURNAL_QUOTA = "journal quota"


def give_up_ready(lane: Lane, upto: int, now: float, wall: float) -> None:
    """Dead-letter what waits for its first attempt, up to a number, as far as it is in memory."""
    for stretch in lane.stretches():
        while stretch.ready and stretch.ready[0] <= upto:
            lane.bury(Delivery(stretch.ready.popleft(), stretch.run), JOURNAL_QUOTA, b"", now, wall)


def unread_part(lane: Lane, upto: int) -> Stretch | None:
    """A stretch with deliveries up to a number that are only in the journal."""
    return next((s for s in lane.stretches() if s.behind and not s.ready and s.cursor < upto), None)
