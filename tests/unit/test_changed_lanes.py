"""Lanes that have changed are saved in parts of a bounded weight, and each of them within two rounds."""

from collections.abc import Sequence

import pytest

from eventbus.delivery.changed_lanes import (
    INTERVAL_SECONDS,
    MAX_ROUND_SECONDS,
    MAX_TIME_SHARE,
    PART_LANES,
    PART_WEIGHT,
    UNPACED_LANES,
    ChangedLanes,
    pause_after,
    weight_of,
)
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.phase import CloseReason
from tests.support.lanes import BUSY, TAKEN, UNWANTED, attempt, lane_with


def reported(count: int, *seqs: int) -> tuple[ChangedLanes, list[Lane]]:
    """Lanes that have changed, since they were offered these events."""
    changed, lanes = ChangedLanes(), [lane_with(*(seqs or (1,))) for _ in range(count)]
    for lane in lanes:
        lane.report_changes_to(changed.reported)
    return changed, lanes


def saved(lanes: Sequence[Lane]) -> Sequence[Lane]:
    """The lanes, once they are saved."""
    for lane in lanes:
        lane.clear_changes()
    return lanes


def test_a_round_has_each_lane_once_in_parts_of_a_bounded_weight() -> None:
    """All that had changed when it began comes, in the order in which it changed."""
    changed, lanes = reported(2 * PART_LANES + 1)
    changed.begin_round(7)
    parts = []
    while changed.in_round:
        parts.append(saved(changed.take_part()))
    assert [lane for part in parts for lane in part] == lanes
    assert [len(part) for part in parts] == [PART_LANES, PART_LANES, 1]
    assert (changed.scanned, changed.size, changed.begun) == (7, len(lanes), 1)


def test_what_changes_meanwhile_comes_with_the_next_round() -> None:
    """A lane that changes all the time keeps no other one from being saved."""
    changed, lanes = reported(3 * PART_LANES)
    seen: list[Lane] = []
    changed.begin_round(1)
    while changed.in_round:
        part = saved(changed.take_part())
        seen += part
        part[0].offer([2])  # it has changed again
    assert seen == lanes
    changed.begin_round(2)
    assert changed.take_part() == [lanes[0], lanes[PART_LANES], lanes[2 * PART_LANES]]


def test_a_lane_that_was_saved_meanwhile_is_left_out() -> None:
    """A decision about a lane has saved it; where it has changed since it comes once all the same."""
    changed, lanes = reported(4)
    changed.begin_round(1)
    saved(lanes[:2])
    lanes[1].offer([2])
    assert saved(changed.take_part()) == lanes[1:]
    changed.begin_round(2)
    assert changed.take_part() == []


def test_closed_lanes_are_not_saved() -> None:
    """What is left of them was saved when they were closed."""
    changed, (lane,) = reported(1)
    lane.begin_discarding(0.0)
    lane.close(CloseReason.DISCARDED)
    changed.begin_round(1)
    assert (changed.take_part(), changed.in_round) == ([], False)


@pytest.mark.parametrize("when", ["in the round", "after it began"])
def test_lanes_that_have_delivered_go_first(when: str) -> None:
    """A crash would repeat what they have delivered; they have half of a part, so that the others are saved, too."""
    changed, lanes = reported(3 * PART_LANES, 1, 2)
    late = lanes[-PART_LANES:]
    if when == "in the round":
        changed.begin_round(1)
    else:
        for lane in late:
            changed.reported.remove(lane)
        changed.begin_round(1)
        changed.reported.extend(late)
    for lane in late:
        attempt(lane, TAKEN, 0.0)
    half = PART_LANES // 2
    assert saved(changed.take_part()) == late[:half] + lanes[:half]
    assert changed.take_part() == late[half:] + lanes[half:PART_LANES]


def test_a_lane_that_waits_for_being_saved_goes_first() -> None:
    """No attempt starts at it before."""
    changed, lanes = reported(3 * PART_LANES, 1)
    waiting = lane_with(1, 2, 3, limits=LaneLimits(unsaved_changes=1))
    waiting.report_changes_to(changed.reported)
    attempt(waiting, UNWANTED, 0.0)
    changed.begin_round(1)
    assert changed.take_part()[:2] == [waiting, lanes[0]]


def test_a_lane_with_many_rows_takes_a_part_alone() -> None:
    """It is saved whole, however much that is: its account with its retries and dead letters."""
    changed, lanes = reported(2)
    lanes[0].offer(range(2, PART_WEIGHT + 3))
    while attempt(lanes[0], UNWANTED, 0.0) is not None:
        pass
    changed.begin_round(1)
    assert saved(changed.take_part()) == [lanes[0]]
    assert saved(changed.take_part()) == [lanes[1]]


def test_rows_and_patterns_weigh() -> None:
    """The more of them a lane has, the fewer lanes go with it."""
    lane = lane_with(1, 2)
    alone = weight_of(lane)
    attempt(lane, UNWANTED, 0.0)
    attempt(lane, BUSY, 0.0)
    assert weight_of(lane) == alone + 2
    assert weight_of(lane_with(topics=tuple(f"t{number}" for number in range(64)))) == alone + 16


@pytest.mark.parametrize(
    ("cost", "lanes", "over", "seconds"),
    [
        (0.01, UNPACED_LANES, True, INTERVAL_SECONDS),
        (0.01, UNPACED_LANES, False, 0.0),
        (0.01, UNPACED_LANES + 1, False, 0.01 / MAX_TIME_SHARE),
        (0.0001, UNPACED_LANES + 1, True, INTERVAL_SECONDS),
        (1.0, 100 * PART_LANES, False, MAX_ROUND_SECONDS / 100),
    ],
)
def test_saving_many_lanes_takes_a_bounded_share_of_the_time(
    cost: float, lanes: int, over: bool, seconds: float
) -> None:
    """Few lanes are saved ten times a second; between parts of many there are pauses, which keep a round bounded."""
    assert pause_after(cost, lanes, over=over) == pytest.approx(seconds)
