"""What can be said in registering: each option with its bounds, kept until it is said anew."""

from typing import Any

import pytest

from tests.support.answers import assert_says
from tests.support.caller import Caller, register_target

#: A spare address: nothing is published while it is registered.
FIRST = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("name", "value"), [("lease", 5), ("max_in_flight", 1_000), ("timeout", 0.1), ("ordered", True)]
)
def test_an_option_within_its_bounds_is_in_force(caller: Caller, name: str, value: Any) -> None:
    """Each option takes its smallest and its largest value, and the answer tells it."""
    assert caller.register(FIRST, **{name: value})[name] == value


@pytest.mark.parametrize(
    ("name", "value"), [("lease", "4"), ("max_in_flight", "1.5"), ("ordered", "perhaps"), ("topic", "orders.>.created")]
)
def test_an_option_out_of_bounds_is_refused(caller: Caller, name: str, value: str) -> None:
    """A wrong option is refused with a sentence that names it, and nobody is registered."""
    response = caller.call("POST", register_target(FIRST, **{name: value}))
    assert_says(response, 400, response.text)
    assert response.text.startswith("Error")
    assert name in response.text
    assert caller.subscribers() == []


def test_defaults_are_in_force_where_nothing_is_said(caller: Caller) -> None:
    """A registration that says nothing gets everything, for 120 seconds, 32 at once and 10 seconds each."""
    answer = caller.register(FIRST)
    options = {name: answer[name] for name in ("lease", "max_in_flight", "timeout", "ordered", "resume")}
    assert options == {"lease": 120, "max_in_flight": 32, "timeout": 10, "ordered": False, "resume": False}


def test_a_renewal_keeps_what_it_leaves_out(caller: Caller) -> None:
    """Options stay as they were through a renewal that does not name them."""
    first = caller.register(FIRST, topic=["a.*", "b"], lease=600, max_in_flight=7, timeout=2.5, ordered=True)
    renewed = caller.register(FIRST, timeout=3)
    changed = {"timeout", "created", "renewed_at", "expires_at"}
    assert (renewed["timeout"], renewed["lease"], renewed["max_in_flight"], renewed["ordered"]) == (
        3,
        600,
        7,
        True,
    )
    assert {n: v for n, v in renewed.items() if n not in changed} == {
        n: v for n, v in first.items() if n not in changed
    }


def test_a_refused_renewal_changes_nothing(caller: Caller) -> None:
    """A renewal with one wrong option leaves all of them as they were."""
    caller.register(FIRST, lease=600, timeout=2)
    assert caller.call("POST", register_target(FIRST, lease=700, timeout=0)).status == 400
    found = caller.subscriber(FIRST)
    assert (found["lease"], found["timeout"]) == (600, 2)


def test_topics_may_repeat(caller: Caller) -> None:
    """Every ``topic`` given counts, in its order."""
    assert caller.register(FIRST, topic=["orders.*", "stock.>"])["topics"] == ["orders.*", "stock.>"]


def test_created_tells_the_first_registration(caller: Caller) -> None:
    """``created`` is true on the first registration alone, and again after deregistering."""
    told = [caller.register(FIRST)["created"], caller.register(FIRST)["created"]]
    caller.deregister(FIRST)
    assert [*told, caller.register(FIRST)["created"]] == [True, False, True]


@pytest.mark.parametrize(("lease", "renew_after"), [(120, 40), (90, 30), (6, 2)])
def test_renew_after_is_a_third_of_the_lease(caller: Caller, lease: int, renew_after: int) -> None:
    """A subscriber is told to renew three times in each lease."""
    assert caller.register(FIRST, lease=lease)["renew_after"] == renew_after


def test_unknown_parameters_are_passed_over(caller: Caller) -> None:
    """A parameter that means nothing to the bus disturbs nothing."""
    assert_says(caller.call("POST", register_target(FIRST, colour="blue")), 200, "success")


def test_an_escape_of_a_plain_character_is_that_character(caller: Caller) -> None:
    """``/%7Eann`` and ``/~ann`` are one subscriber, whichever registers, renews and deregisters (RFC 3986, 6.2.2)."""
    spellings = ["127.0.0.1:9/~ann", "127.0.0.1:9/%7Eann", "http://127.0.0.1:9/%7eann/", "127.0.0.1:9/~%61nn"]
    told = [caller.register(spelling)["created"] for spelling in spellings]
    assert told == [True, False, False, False]
    assert [found["address"] for found in caller.subscribers()] == [spellings[-1]]
    caller.deregister("127.0.0.1:9/%7Eann")
    assert caller.subscribers() == []
