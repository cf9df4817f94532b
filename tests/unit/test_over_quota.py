"""A lane over its quota of the journal gives up its oldest pending deliveries."""

from eventbus.core.clock import Clock
from eventbus.core.records import Discard
from eventbus.delivery.decision import LaneChanges, merge
from eventbus.delivery.lane.over_quota import (
    JOURNAL_QUOTA,
    LetterRoom,
    give_up_buffered,
    give_up_page,
    give_up_retries,
    unread_part,
)
from tests.support.lanes import ADDRESS, BUSY, EPOCH, attempt, lane_with

#: Room for as many dead letters as may come, and for none.
ROOM, NO_ROOM = 1_000_000, 0


def test_what_waits_in_memory_up_to_a_number_is_dead() -> None:
    """The deliveries up to a number become dead letters with that reason; the rest is attempted as before."""
    lane = lane_with(1, 2, 3, 4)
    give_up_buffered(lane, 2, LetterRoom(ROOM), EPOCH)
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
    give_up_buffered(lane, 2, LetterRoom(ROOM), EPOCH)
    assert lane.account.dead == 1
    lane.deliver(delivery, 0.0)
    assert (lane.account.delivered, lane.account.pending) == (1, 0)


def test_what_is_only_in_the_journal_is_read_for_it() -> None:
    """A part that is not in memory is found once memory holds nothing older."""
    lane = lane_with(*range(1, 3_000))
    assert unread_part(lane, 2_000) is None
    give_up_buffered(lane, 2_000, LetterRoom(ROOM), EPOCH)
    assert unread_part(lane, 2_000) is lane.live
    assert unread_part(lane, lane.live.cursor) is None


def test_without_room_for_dead_letters_a_range_is_discarded() -> None:
    """What waits in memory and what is read from the journal is counted, and one range of numbers tells all of it."""
    lane = lane_with(*range(1, 3_000))
    room = LetterRoom(NO_ROOM)
    give_up_buffered(lane, 2_000, room, EPOCH)
    began = lane.live.cursor
    give_up_page(lane, lane.live, range(began + 1, 2_001), 2_000, room, EPOCH)
    assert (lane.account.dead, lane.account.discarded, lane.account.pending) == (0, 2_000, 999)
    assert lane.discards == [Discard(ADDRESS, 1, 2_000)]
    assert lane.dead_letters == []
    assert (lane.backlog, lane.live.cursor) == (999, 2_000)


def test_what_does_not_fit_any_more_is_discarded() -> None:
    """Dead letters are made as long as there is room for all of a part; the room is what is left after them."""
    lane, room = lane_with(1, 2, 3), LetterRoom(4)
    give_up_buffered(lane, 3, room, EPOCH)
    other = lane_with(1, 2, 3)
    give_up_buffered(other, 3, room, EPOCH)
    assert (lane.dead, lane.discarded, other.dead, other.discarded) == (3, 0, 0, 3)
    assert (room.left, LetterRoom(-7).lacking, room.lacking) == (1, 7, 0)


def test_a_retry_is_discarded_without_its_row() -> None:
    """One that waits for its next attempt is counted, and its row goes with the next checkpoint."""
    lane = lane_with(1, 2)
    assert attempt(lane, BUSY, 0.0) == 1
    taken = lane.retries.take_all()
    give_up_retries(lane, taken, LetterRoom(NO_ROOM), 1.0, EPOCH)
    assert (lane.account.discarded, lane.backlog) == (1, 1)
    assert (lane.retries.removed_rows, lane.discards) == ({(1, 0)}, [Discard(ADDRESS, 1, 1)])


def test_ranges_are_saved_with_the_next_checkpoint() -> None:
    """What a lane has discarded is in the checkpoint that has its account, also where a decision is saved with it."""
    lane = lane_with(1, 2, 3)
    lane.discard(1, 1, 1)
    lane.discard(3, 3, 1)
    changes, clock = LaneChanges(), Clock(lambda: 0.0, lambda: EPOCH)
    changes.take(lane, 3, clock)
    saved = changes.checkpoint(EPOCH, 3)
    assert saved.discards == (Discard(ADDRESS, 1, 1), Discard(ADDRESS, 3, 3))
    assert merge(saved, LaneChanges().checkpoint(EPOCH, 3)).discards == saved.discards
    assert lane.discards == []
