"""When a scheduled event is due, where a page of them goes on, and how long to wait for the next."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import BadRequest
from eventbus.core.schedule import MAX_DELAY_SECONDS, DuePosition, NextDue, due_time

NOW = 1_795_476_715.25  # 2026-11-23T23:31:55.25Z


@pytest.mark.parametrize(
    ("delay", "deliver_at", "due"),
    [
        ("0", None, NOW),
        ("0.0", None, NOW),
        ("90", None, NOW + 90),
        ("0.0126", None, 1_795_476_715.263),
        ("31622400", None, NOW + MAX_DELAY_SECONDS),
        (None, "2026-11-24T01:31:56+02:00", NOW + 0.75),
        (None, "2026-11-23T23:31:55.3456Z", 1_795_476_715.346),
        (None, "2027-11-24T23:31:55Z", NOW + MAX_DELAY_SECONDS - 0.25),
    ],
)
def test_a_due_time_is_a_whole_millisecond(delay: str | None, deliver_at: str | None, due: float) -> None:
    """A delay counts from now, a time stands for itself, and both are rounded to milliseconds."""
    assert due_time(delay, deliver_at, NOW) == due


@pytest.mark.parametrize("past", ["2026-11-23T23:31:55Z", "1999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_past_time_is_now(past: str) -> None:
    """What should have been delivered before is due at once."""
    assert due_time(None, past, NOW) == NOW


@pytest.mark.parametrize("delay", ["", "-1", "1e3", "inf", "nan", "31622400.1", "99999999", "1_0", " 1", "٣", "5m"])
def test_any_other_delay_is_refused_with_the_range(delay: str) -> None:
    """A delay is a plain number from 0 to 366 days in seconds."""
    with pytest.raises(BadRequest, match=r"delay must be a number of seconds from 0 to 31622400, not"):
        due_time(delay, None, NOW)


@pytest.mark.parametrize("deliver_at", ["", "soon", "1795476715", "2027-11-24T23:31:56Z", "9999-12-31T23:59:59Z"])
def test_any_other_time_is_refused_with_the_range(deliver_at: str) -> None:
    """A time is RFC 3339, and at most 366 days ahead."""
    with pytest.raises(BadRequest, match=r"deliver_at must be .* up to 2027-11-24T23:31:55Z, 366 days from now, not"):
        due_time(None, deliver_at, NOW)


@pytest.mark.parametrize("deliver_at", ["2026-11-24T01:31:56", "2026-02-30T01:31:56Z", "2026-11-24T1:31:56Z"])
def test_a_time_that_is_none_is_refused(deliver_at: str) -> None:
    """A time without an offset, or that no calendar has, is named in the error."""
    with pytest.raises(BadRequest, match=deliver_at.partition("T")[0]):
        due_time(None, deliver_at, NOW)


def test_a_plus_that_a_query_has_made_a_space_is_named() -> None:
    """The error says how it is written, since that is an easy mistake."""
    for deliver_at in ("2026-11-24T01:31:56 01:00", "2026-11-24 01:31:56.5 01:00"):
        with pytest.raises(BadRequest, match="has lost its \\+: in a query it is written %2B"):
            due_time(None, deliver_at, NOW)
    with pytest.raises(BadRequest, match="no time as RFC 3339 has it"):
        due_time(None, "2026-11-24T01:31:56 1:00", NOW)


def test_a_time_within_the_millisecond_is_not_rounded_to_the_past() -> None:
    """No due time is before the publish, and a delay of 0 is exactly now, whatever part of a millisecond that is."""
    for now in (NOW + 0.000_3, NOW + 0.000_7):
        assert due_time("0", None, now) == now
        assert due_time("0.0001", None, now) >= now


def test_only_one_of_both_may_be_given() -> None:
    """A delay and a time together are refused, even where they agree."""
    with pytest.raises(BadRequest, match="either delay or deliver_at"):
        due_time("0", "2026-11-23T23:31:55Z", NOW)


@given(st.floats(0, MAX_DELAY_SECONDS), st.integers(1, 10**15))
def test_a_position_survives_its_text(delay: float, number: int) -> None:
    """The text of a position names exactly the same one, so that no page skips or repeats an event."""
    position = DuePosition(due_time(f"{delay:.9f}"[:18], None, NOW), number)
    assert DuePosition.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "now", "1", "1-", "-1", "1-2-3", "1.5-2", "x-1", "1-9999999999999999999"])
def test_any_other_position_is_refused(text: str) -> None:
    """A page goes on after what the page before has said, and nothing else."""
    with pytest.raises(BadRequest, match="after must be what next said on the page before"):
        DuePosition.parse(text)


def test_positions_are_ordered_by_due_time_and_then_by_number() -> None:
    """Of two events that are due at the same time the one that was accepted first comes first."""
    assert DuePosition(1, 9) < DuePosition(2, 1) < DuePosition(2, 2)


def test_an_earlier_event_shortens_the_wait() -> None:
    """Only an event that is due before all others tells the mover to look again."""
    due = NextDue()
    assert due.accept(NOW + 20)
    assert not due.accept(NOW + 20)
    assert not due.accept(NOW + 30)
    assert due.accept(NOW + 10)
    assert due.at == NOW + 10


def test_an_event_that_is_accepted_during_a_read_is_not_forgotten() -> None:
    """A read that began before an event was accepted does not hide that event."""
    due = NextDue()
    due.accept(NOW + 5)
    due.begin_read()
    due.accept(NOW + 7)
    due.end_read(NOW + 9)
    assert due.at == NOW + 7
    due.begin_read()
    due.end_read(math.inf)
    assert due.at == math.inf


@pytest.mark.parametrize(("ahead", "waits"), [(-5.0, 0.0), (0.0, 0.0), (0.25, 0.25), (3_600.0, 1.0), (math.inf, 1.0)])
def test_a_wait_is_short_and_ends_when_the_next_event_is_due(ahead: float, waits: float) -> None:
    """What is overdue is not waited for, and nothing is waited for longer than the clock may be wrong."""
    due = NextDue()
    due.accept(NOW + ahead)
    assert due.seconds_to_wait(NOW, 1.0) == pytest.approx(waits)
