"""The spaces between deliveries that keep to a rate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.delivery_rate import Rate
from eventbus.delivery.lane.pace import NO_LIMIT, Pace


def paced(*rates: Rate) -> Pace:
    """A pace that keeps to these."""
    pace = Pace()
    pace.set_rates(rates)
    return pace


def starts(pace: Pace, until: float) -> list[float]:
    """When attempts start that always wait, each as early as it may."""
    found, now = [], 0.0
    while now < until:
        pace.start(now)
        found.append(now)
        now = max(now, pace.ready_at)
    return found


def test_without_a_rate_an_attempt_may_start_at_any_time() -> None:
    """And a batch may have any size."""
    pace = paced()
    assert (pace.ready_at, pace.space, pace.most) == (-math.inf, 0.0, NO_LIMIT)
    pace.start(5.0)
    assert pace.ready_at <= 5.0


def test_deliveries_are_evenly_spaced() -> None:
    """None comes earlier for a pause before it: there is no burst."""
    pace = paced(Rate(10, 5.0))
    assert starts(pace, 2.0) == [0.0, 0.5, 1.0, 1.5]
    pace.start(100.0)
    assert pace.ready_at == 100.5


def test_of_two_rates_the_lower_one_holds() -> None:
    """Whichever was given first; a batch is as small as either allows."""
    option, consent = Rate(100, 10.0), Rate(30, 60.0)
    for rates in ((option, consent), (consent, option)):
        assert (paced(*rates).space, paced(*rates).most) == (2.0, 30)


def test_a_batch_counts_as_its_events() -> None:
    """The next attempt waits so many spaces."""
    pace = paced(Rate(10, 1.0))
    pace.start(0.0)
    pace.add(4)
    assert pace.ready_at == pytest.approx(0.5)


def test_another_rate_holds_from_the_last_attempt_on() -> None:
    """Nobody waits for what the former rate would have been."""
    pace = paced(Rate(1, 3_600.0))
    pace.start(0.0)
    assert pace.ready_at == 3_600.0
    pace.set_rates([Rate(2, 1.0)])
    assert pace.ready_at == 0.5


def test_what_is_not_known_counts_as_made_just_now() -> None:
    """After a restart a whole batch may have gone out before."""
    pace = paced(Rate(10, 1.0))
    pace.wait_for(5, 7.0)
    assert pace.ready_at == 7.5


@given(
    st.integers(1, 2_000),
    st.floats(0.1, 20.0),
    st.lists(st.floats(0.0, 0.05), min_size=1, max_size=20),
    st.floats(0, 9),
)
def test_no_window_has_more_than_the_rate(deliveries: int, seconds: float, late: list[float], start: float) -> None:
    """Wherever it begins, and however late each attempt starts."""
    pace, now, found = paced(Rate(deliveries, seconds)), start, []
    while len(found) < 3 * min(deliveries, 300) + 3:
        pace.start(now)
        found.append(now)
        now = max(now, pace.ready_at) + late[len(found) % len(late)] * (len(found) % 3 == 0)
    for first in found:
        assert sum(first <= other < first + seconds * (1 - 1e-9) for other in found) <= deliveries


def test_a_high_rate_is_reached_though_each_attempt_is_late() -> None:
    """A timer is late by a millisecond, which is ten spaces here."""
    found = starts(paced(Rate(1_000, 1.0)), 0.999_999)
    assert 985 <= len(found) <= 1_000
    pace, now, count = paced(Rate(10_000, 1.0)), 0.0, 0
    while now < 1.0:
        while pace.ready_at <= now:
            pace.start(now)
            count += 1
        now += 0.001
    assert 9_800 <= count <= 10_000
