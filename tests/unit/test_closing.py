"""A lane that is discarded says of each event that was pending that it was discarded."""

import pytest

from eventbus.core.model import Account
from eventbus.core.records import Checkpoint
from eventbus.delivery.lane.closing import discard_checkpoint, discard_pending
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.retry_rows import retry_rows_of
from tests.support.lanes import BUSY, EPOCH, REFUSED, TAKEN, answer, lane_with, take_all

EVENTS = 30


def numbers(checkpoint: Checkpoint) -> set[int]:
    """The events that are to be discarded."""
    return {seq for discard in checkpoint.discards for seq in range(discard.first, discard.last + 1)}


def busy_lane(in_memory: int) -> Lane:
    """A lane that holds so few deferred deliveries in memory, with some under way, some waiting, and some fresh."""
    lane = lane_with(*range(1, EVENTS + 1), max_in_flight=8, limits=LaneLimits(retries=in_memory))
    for response in (TAKEN, TAKEN, BUSY, BUSY, BUSY):
        for delivery in take_all(lane, 0.0):
            answer(lane, delivery, response, 0.0)
    take_all(lane, 0.0)
    return lane


@pytest.mark.parametrize("in_memory", [1_000, 3])
def test_whatever_is_pending_is_among_the_discards(in_memory: int) -> None:
    """Under way, waiting in memory or spilled, not yet saved, or fresh: each pending event is among the discards."""
    lane = busy_lane(in_memory)
    delivered, pending = lane.delivered, lane.backlog
    checkpoint = discard_checkpoint(lane, EVENTS, 1.0, EPOCH)
    assert len(numbers(checkpoint)) == pending == EVENTS - delivered
    account = Account(EVENTS, delivered, 0, pending)
    assert checkpoint.lanes[0].account == account
    assert (lane.discarded, lane.backlog) == (0, pending)
    discard_pending(lane, EVENTS, EPOCH)
    assert (lane.account, lane.backlog) == (account, 0)


def test_what_is_saved_is_cleared_by_its_rows() -> None:
    """Spilled deliveries whose rows are saved are discarded with their rows."""
    lane = busy_lane(3)
    saved = {row.seq for row in retry_rows_of(lane, 0.0, EPOCH)}
    lane.retries.unsaved_rows.clear()
    pending = lane.backlog
    checkpoint = discard_checkpoint(lane, EVENTS, 1.0, EPOCH)
    assert checkpoint.cleared == (lane.subscriber.key,)
    assert len(numbers(checkpoint) | saved) == pending


def test_a_subscriber_that_is_down_loses_what_it_had_not_got() -> None:
    """Events that wait for a subscriber that is down are among the discards too."""
    lane = busy_lane(3)
    for delivery in list(lane.in_flight):
        answer(lane, delivery, REFUSED, 0.0)
    pending = lane.backlog
    assert len(numbers(discard_checkpoint(lane, EVENTS, 1.0, EPOCH))) == pending
