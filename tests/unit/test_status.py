"""The state that is shown of a subscriber: the first that holds of several."""

import json
from dataclasses import replace

from eventbus.core.model import State
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane_record import lane_of, new_record, record_of
from eventbus.delivery.lane.status import observe, oldest_failures, status
from eventbus.journal.lane_json import from_json, to_json
from tests.support.groups import A, B, group_with, subscribers
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


def test_a_failing_subscriber_is_failing_after_a_restart() -> None:
    """At once, and until something succeeds, or ten minutes without an attempt are over."""
    lane = lane_with(*range(1, 11))
    while attempt(lane, UNWANTED, 1.0) is not None:
        pass
    observe(lane, 1.0)
    record = from_json(to_json(record_of(lane, 10, 1.0, EPOCH)))
    for idle, moment, expected in ((False, 51.0, State.OK), (True, 51.0, State.FAILING), (True, 660.0, State.OK)):
        again = lane_of(record, Rules(), retries=0, ends=9_999.0, now=50.0, wall=EPOCH + 50.0)
        assert (status(again, 50.0), again.state, again.works) == (State.FAILING, State.OK, True)
        if not idle:
            again.offer([11])
            attempt(again, TAKEN, moment)
        observe(again, moment)
        assert status(again, moment) is expected


def test_failing_members_are_failing_after_a_restart() -> None:
    """Those that were, and the group if it was."""
    lane = group_with(*range(1, 21), members=subscribers(A, B))
    for delivery in take_all(lane, 0.0):
        lane.choose(delivery, None, 0.0)
        answer(lane, delivery, UNWANTED, 0.0)
    for failing in (lane, next(iter(lane.roster or ()))):
        failing.recent.failing = True
    record = from_json(to_json(record_of(lane, 20, 1.0, EPOCH)))
    again = lane_of(record, Rules(), retries=0, ends=9_999.0, now=50.0, wall=EPOCH + 50.0)
    found = [status(one, 50.0) for one in (again, *(again.roster or ()))]
    assert found == [State.FAILING, State.FAILING, State.OK]


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
