"""A lane over its quota of the journal gives up its oldest pending deliveries."""

from eventbus.delivery.lane.closing import JOURNAL_QUOTA, dead_letter_buffered, unread_part
from tests.support.lanes import EPOCH, lane_with


def test_what_waits_in_memory_up_to_a_number_is_dead() -> None:
    """The deliveries up to a number become dead letters with that reason; the rest is attempted as before."""
    lane = lane_with(1, 2, 3, 4)
    dead_letter_buffered(lane, 2, 0.0, EPOCH)
    assert [(letter.seq, letter.reason) for letter in lane.dead_letters] == [(1, JOURNAL_QUOTA), (2, JOURNAL_QUOTA)]
    assert (lane.account.dead, lane.account.pending, lane.backlog) == (2, 2, 2)
    delivery = lane.take(0.0)
    assert delivery is not None
    assert delivery.seq == 3


def test_what_is_under_way_is_not_given_up() -> None:
    """An attempt goes on, and what comes of it counts."""
    lane = lane_with(1, 2)
    delivery = lane.take(0.0)
    assert delivery is not None
    dead_letter_buffered(lane, 2, 0.0, EPOCH)
    assert lane.account.dead == 1
    lane.deliver(delivery, 0.0)
    assert (lane.account.delivered, lane.account.pending) == (1, 0)


def test_what_is_only_in_the_journal_is_read_for_it() -> None:
    """A part that is not in memory is found once memory holds nothing older."""
    lane = lane_with(*range(1, 3_000))
    assert unread_part(lane, 2_000) is None
    dead_letter_buffered(lane, 2_000, 0.0, EPOCH)
    assert unread_part(lane, 2_000) is lane.live
    assert unread_part(lane, lane.live.cursor) is None
