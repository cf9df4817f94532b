"""What lanes hold together is what one of them holds, however it is looked up."""

import pytest

from eventbus.core.model import Interest
from eventbus.core.records import Span
from eventbus.delivery.held_events import HeldEvents
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.ranges import Range
from tests.support.lanes import BUSY, TAKEN, UNWANTED, answer, attempt, lane_with, take_all

TOPICS = (None, "a", "b", "a.b", "b.c.d")
LAST = 12


def with_replay() -> Lane:
    """A lane that replays a part of the journal, of some topics."""
    lane = lane_with(8, 9, topics=("b",))
    lane.replays.append(Range(Span(replay_id=1, cursor=2, end=6, remaining=3, topics=("a.*",))))
    return lane


def with_changed_topics() -> Lane:
    """A lane whose subscriber wants other topics since an event in the midst."""
    lane = lane_with(3, 7, topics=("a",))
    lane.interests = (Interest(0, 5, ("a", "b.>")), Interest(5, None, ("a.*",)))
    return lane


def in_the_midst() -> Lane:
    """A lane with deliveries that are done, under way, deferred and dead."""
    lane = lane_with(1, 2, 3, 4, 5, 9)
    for said in (TAKEN, BUSY, UNWANTED):
        attempt(lane, said, 0)
    taken = take_all(lane, 0)
    if taken:
        answer(lane, taken[0], TAKEN, 0)
    return lane


def settled() -> Lane:
    """A lane that has delivered everything."""
    lane = lane_with(1)
    attempt(lane, TAKEN, 0)
    return lane


KINDS = {
    "all": lambda: lane_with(4, 5, 6),
    "wildcards": lambda: lane_with(4, 5, 6, topics=("a.>", "*.c.d")),
    "a replay": with_replay,
    "other topics": with_changed_topics,
    "in the midst": in_the_midst,
    "settled": settled,
}


@pytest.mark.parametrize("names", [[name] for name in KINDS] + [list(KINDS)[1:4], ["settled", "in the midst"], []])
def test_lanes_hold_together_what_one_of_them_holds(names: list[str]) -> None:
    """For each number and topic the answer is that of the lanes, asked one by one."""
    lanes = [KINDS[name]() for name in names]
    held = HeldEvents(lanes)
    for seq in range(1, LAST):
        for topic in TOPICS:
            assert held.holds(seq, topic) is any(lane.holds(seq, topic) for lane in lanes), (seq, topic)


def test_what_happens_to_a_delivery_makes_no_lane_hold_more() -> None:
    """While deliveries go on, all that a lane holds is what it held before."""
    lane = lane_with(1, 2, 3, 4)
    before = HeldEvents([lane])
    for now, said in enumerate((TAKEN, BUSY, UNWANTED, BUSY)):
        attempt(lane, said, now)
        assert all(before.holds(seq, None) for seq in range(1, LAST) if lane.holds(seq, None))
