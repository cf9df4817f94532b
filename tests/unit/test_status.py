"""The state that is shown of a subscriber: the first that holds of several."""

import json
from dataclasses import replace

from eventbus.core.model import State
from eventbus.delivery.lane.lane_record import new_record
from eventbus.delivery.lane.status import observe, oldest_failures, status
from eventbus.journal.lane_json import from_json, to_json
from tests.support.lanes import (
    BUSY,
    EPOCH,
    REFUSED,
    TAKEN,
    UNWANTED,
    answer,
    attempt,
    lane_with,
    subscriber_with,
    take_all,
    wait_please,
)


def test_a_subscriber_is_new_until_something_was_attempted() -> None:
    """Also one that has returned: attempts of before say nothing of it now."""
    lane = lane_with(1, ends=100.0)
    assert status(lane, 0.0) is State.NEW
    attempt(lane, TAKEN, 1.0)
    assert status(lane, 1.0) is State.OK
    assert status(lane, 100.0) is State.EXPIRED
    lane.park(EPOCH + 100.0)
    lane.renew(replace(lane.lease, ends=500.0), 1, 200.0)
    assert status(lane, 200.0) is State.NEW


def test_a_subscriber_that_answers_with_errors_alone_is_failing() -> None:
    """It is reachable, which is not enough."""
    lane = lane_with(*range(1, 11))
    while attempt(lane, UNWANTED, 1.0) is not None:
        pass
    assert (lane.failed_attempts, status(lane, 1.0)) == (10, State.OK)
    assert observe(lane, 1.0) is True
    assert status(lane, 1.0) is State.FAILING
    assert lane.last_error_at == EPOCH + 1.0
    lane.offer([11, 12, 13])
    assert observe(lane, 100.0) is False
    attempt(lane, TAKEN, 101.0)
    assert observe(lane, 101.0) is True
    assert status(lane, 101.0) is State.OK


def test_the_oldest_pending_event_is_looked_at_while_others_are_delivered() -> None:
    """Failed attempts count, of one that waits and of one under way; an event that is older and fresh comes first."""
    lane = lane_with(1)
    for failures in range(3):
        assert oldest_failures(lane) == failures
        (delivery,) = take_all(lane, failures * 100.0)
        assert oldest_failures(lane) == failures
        answer(lane, delivery, BUSY, failures * 100.0)
    lane.offer([2, 3])
    attempt(lane, TAKEN, 201.0)
    assert oldest_failures(lane) == 3
    assert observe(lane, 201.0) is True
    assert status(lane, 201.0) is State.FAILING


def test_a_subscriber_that_is_down_or_paused_is_not_called_failing_too() -> None:
    """Nor when it is back, for what failed meanwhile."""
    lane = lane_with(*range(1, 40))
    for second in range(0, 600, 60):
        for delivery in take_all(lane, float(second)):
            answer(lane, delivery, REFUSED, float(second))
        observe(lane, float(second))
    assert status(lane, 600.0) is State.DOWN
    attempt(lane, TAKEN, 700.0)
    assert observe(lane, 700.0) is False
    assert status(lane, 700.0) is State.OK
    attempt(lane, wait_please(30), 701.0)
    assert observe(lane, 701.0) is False
    assert status(lane, 701.0) is State.PAUSED


def test_a_subscriber_that_asks_for_one_pause_after_another_is_failing() -> None:
    """Whoever asks for a third pause, and has taken nothing since before the first, is failing between its pauses."""
    lane = lane_with(*range(1, 20))
    for pause in (1, 2, 3):
        now = max(0.0, lane.next_moment())
        for delivery in take_all(lane, now):
            answer(lane, delivery, wait_please(5), now)
        assert observe(lane, now) is (pause == 3)
        assert status(lane, now) is State.PAUSED
        assert observe(lane, now + 5) is False
        assert status(lane, now + 5) is (State.FAILING if pause == 3 else State.OK)
    for now in range(20, 30):
        attempt(lane, TAKEN, float(now))
    assert observe(lane, 30.0) is True
    assert status(lane, 30.0) is State.OK


def test_a_state_of_an_older_journal_is_read_by_its_new_name() -> None:
    """And what older records do not hold is as it is at first."""
    record = replace(new_record(subscriber_with(), EPOCH, 0), state=State.DOWN)
    said = json.loads(to_json(record))
    for name in ("expired", "last_error_at", "former_attempts"):
        del said[name]
    assert said["state"] == "down"
    assert from_json(json.dumps({**said, "state": "backing_off"})) == record
