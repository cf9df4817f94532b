"""Each subscription has its own terms for retries: for how long, how often, and after which delays."""

import pytest

from eventbus.core.errors import BadRequest
from eventbus.core.number_kinds import BackoffBounds, Duration, Integer, ZeroOr
from tests.support.groups import A, B, group_with, subscribers
from tests.support.lanes import BUSY, REFUSED, TAKEN, answer, attempt, lane_with, take_all


def test_a_delivery_is_given_up_after_so_many_attempts() -> None:
    """The third failure makes a dead letter, whose reason says so."""
    lane = lane_with(1, max_attempts=3)
    for moment in (0, 100, 200):
        assert attempt(lane, BUSY, moment) == 1
    assert [(letter.attempts, letter.reason) for letter in lane.dead_letters] == [(3, "not delivered in 3 attempts")]
    assert lane.backlog == 0


def test_one_attempt_is_at_most_once() -> None:
    """What fails at its first attempt is dead, whatever the failure."""
    lane = lane_with(1, 2, max_attempts=1)
    for response in (BUSY, REFUSED):
        attempt(lane, response, 0)
    assert lane.dead == 2


def test_a_poison_event_frees_an_ordered_subscriber() -> None:
    """The events behind it go on as soon as it is given up."""
    lane = lane_with(1, 2, ordered=True, max_attempts=2)
    assert attempt(lane, BUSY, 0) == 1
    assert attempt(lane, BUSY, 100) == 1
    assert attempt(lane, TAKEN, 100) == 2


def test_the_time_is_the_subscribers_own() -> None:
    """``retry_for`` counts, not the bus's setting; whichever of both limits is reached first."""
    lane = lane_with(1, retry_for=60, max_attempts=100)
    attempt(lane, BUSY, 0)
    attempt(lane, BUSY, 61)
    assert [letter.reason for letter in lane.dead_letters] == ["not delivered within 60 s"]


def test_delays_are_the_subscribers_own() -> None:
    """The first retry waits up to the first delay, and none longer than the longest."""
    lane = lane_with(1, backoff=(10.0, 15.0))
    dues = []
    moment = 0.0
    for _ in range(3):
        assert attempt(lane, BUSY, moment) == 1
        dues.append(lane.retries.next_due() - moment)
        moment = lane.retries.next_due()
    assert dues == [10, 15, 15]


def test_attempts_count_over_all_members_of_a_group() -> None:
    """Two members fail an event once each: that is two attempts."""
    lane = group_with(1, members=subscribers(A, B), max_attempts=2)
    for _ in range(2):
        for delivery in take_all(lane, 0):
            lane.choose(delivery, None, 0)
            answer(lane, delivery, BUSY, 0)
    assert [letter.reason for letter in lane.dead_letters] == ["not delivered in 2 attempts"]


@pytest.mark.parametrize("text", ["1001", "-1", "1.5", "x", "", "1e3"])
def test_attempts_out_of_range_are_refused(text: str) -> None:
    """The error names the range."""
    with pytest.raises(BadRequest, match="max_attempts must be a whole number from 1 to 1000, or 0, not"):
        ZeroOr(Integer(1, 1_000)).parse("max_attempts", [text])


def test_zero_is_none_of_its_own() -> None:
    """0 in any spelling stands for the bus's own setting."""
    kind = ZeroOr(Duration(1, 604_800))
    assert [kind.parse("retry_for", [text]) for text in ("0", "0.0", "00", "10")] == [0, 0, 0, 10]


@pytest.mark.parametrize("text", ["0.5", "1,2,3", "0,60", "0.5,3601", "a,b", "", ",", "5,1"])
def test_a_backoff_that_is_none_is_refused(text: str) -> None:
    """It is two numbers, each in its range, of which the second is not below the first."""
    with pytest.raises(BadRequest, match=r"backoff must be two numbers from 0\.1 to 3600 .*, the second not below the"):
        BackoffBounds().parse("backoff", [text])


def test_a_backoff_is_two_numbers() -> None:
    """In a query with a comma, in JSON as a list."""
    kind = BackoffBounds()
    value = kind.parse("backoff", ["0.5,60"])
    assert value == (0.5, 60.0)
    assert kind.query_values(value) == ["0.5,60"]
    assert kind.from_json(kind.to_json(value)) == value
