import math
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.delivery.lane.outcome import (
    MAX_PAUSE_SECONDS,
    AttemptResult,
    DeliveryResponse,
    Verdict,
    classify_response,
)

NOW = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC).timestamp()

VERDICTS = {
    **dict.fromkeys(range(200, 300), Verdict.DELIVERED),
    **dict.fromkeys(range(300, 500), Verdict.REJECTED),
    **dict.fromkeys(range(500, 600), Verdict.RETRY),
    **dict.fromkeys((404, 408, 409, 425, 429), Verdict.RETRY),
    410: Verdict.GONE,
}
#: Retry-After, and the seconds that it makes a subscriber wait; 0 where it says nothing that could be obeyed.
RETRY_AFTER = [
    ("1", 1),
    (" 120 ", 120),
    ("3600", 3_600),
    ("3601", 3_600),
    ("0120", 120),
    ("1000000000000000000", 3_600),
    ("9" * 5_000, 3_600),
    ("0", 0),
    ("000", 0),
    ("", 0),
    ("-1", 0),
    ("+1", 0),
    ("1.5", 0),
    ("1e18", 0),
    ("NaN", 0),
    ("Infinity", 0),
    ("0x10", 0),
    ("1,2", 0),
    ("1 2", 0),
    ("1;2", 0),
    ("²", 0),
    ("٣", 0),
    ("soon", 0),
    ("\x00", 0),
    (None, 0),
    # RFC 9110, 5.6.7: the date form to send, and the two obsolete ones to understand
    ("Tue, 24 Nov 2026 06:00:30 GMT", 30),
    ("Tuesday, 24-Nov-26 06:00:30 GMT", 30),
    ("Tue Nov 24 06:00:30 2026", 30),
    ("Tue, 24 Nov 2026 07:00:00 +0100", 0),
    ("Tue, 24 Nov 2026 05:59:59 GMT", 0),
    ("Tue, 24 Nov 2026 06:00:00 GMT", 0),
    ("Tue, 24 Nov 2026 23:00:00 GMT", 3_600),
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
    ("Fri, 31 Dec 9999 23:59:59 -2359", 3_600),
    ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
    ("Tue, 99 Nov 2026 06:00:30 GMT", 0),
    ("Tue, 24 Nov 2026 25:61:61 GMT", 0),
    ("Tue, 24 Nov 99999 06:00:30 GMT", 0),
    ("Tue, 24 Nov 2026", 0),
]


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_has_its_meaning(status: int) -> None:
    """2xx is delivered, 410 ends the lease, 404, 408, 409, 425, 429 and 5xx are retried, all else is rejected."""
    assert classify_response(DeliveryResponse(status), NOW) == AttemptResult(VERDICTS[status])


@pytest.mark.parametrize("status", range(200, 600))
def test_with_stale_credentials_401_and_403_are_retried(status: int) -> None:
    """The event may be accepted with those that the next renewal brings; all else means what it always does."""
    expected = Verdict.RETRY if status in (401, 403) else VERDICTS[status]
    assert classify_response(DeliveryResponse(status), NOW, stale=True) == AttemptResult(expected)


@pytest.mark.parametrize("status", [100, 101, 199])
def test_an_interim_answer_delivers_nothing(status: int) -> None:
    """A status below 200 is no delivery."""
    assert classify_response(DeliveryResponse(status), NOW).verdict is not Verdict.DELIVERED


@pytest.mark.parametrize("status", [600, 999])
def test_a_status_that_no_class_holds_is_retried(status: int) -> None:
    """A status above 599 counts as a server's error: the event is retried, not lost."""
    assert classify_response(DeliveryResponse(status), NOW) == AttemptResult(Verdict.RETRY)


def test_no_answer_means_the_subscriber_is_down() -> None:
    """Without a status the subscriber is down, whatever else is known."""
    assert classify_response(DeliveryResponse(None, error="connection refused"), NOW) == AttemptResult(Verdict.DOWN)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("retry_after", "seconds"), RETRY_AFTER)
def test_retry_after_pauses_for_what_it_says_up_to_an_hour(
    status: int, retry_after: str | None, seconds: float
) -> None:
    """429 and 503 pause a subscriber for the seconds, or until the date, they name; nonsense is as if not there."""
    expected = AttemptResult(Verdict.PAUSE, seconds) if seconds else AttemptResult(Verdict.RETRY)
    assert classify_response(DeliveryResponse(status, retry_after), NOW) == expected


@pytest.mark.parametrize("status", [200, 302, 400, 404, 408, 410, 500, 502])
def test_retry_after_counts_only_where_it_is_meant(status: int) -> None:
    """With any other status Retry-After changes nothing."""
    assert classify_response(DeliveryResponse(status, "30"), NOW) == classify_response(DeliveryResponse(status), NOW)


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Asia/Tokyo"])
def test_a_date_without_a_zone_is_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The date form that names no zone is in UTC, wherever the machine stands."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        outcome = classify_response(DeliveryResponse(503, "Tue Nov 24 06:00:30 2026"), NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert outcome == AttemptResult(Verdict.PAUSE, 30)


@given(st.text(), st.floats(0, 4e9))
def test_no_retry_after_stops_the_bus(retry_after: str, wall: float) -> None:
    """Whatever Retry-After holds, the wait is a finite number of seconds from nothing to an hour."""
    outcome = classify_response(DeliveryResponse(503, retry_after), wall)
    assert outcome.verdict in (Verdict.PAUSE, Verdict.RETRY)
    assert math.isfinite(outcome.wait)
    assert 0 <= outcome.wait <= MAX_PAUSE_SECONDS


@given(st.integers(-7_200, 7_200))
def test_a_date_pauses_until_it_comes(seconds: int) -> None:
    """A date within the hour pauses for exactly the seconds until then; one that has passed pauses for none."""
    date = format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)
    assert classify_response(DeliveryResponse(503, date), NOW).wait == min(MAX_PAUSE_SECONDS, max(0, seconds))


def test_a_declared_subscriber_does_not_end_itself() -> None:
    """Its 410 is about the event, which is attempted again; every other answer means what it means of any."""
    verdicts = {status: classify_response(DeliveryResponse(status), NOW, declared=True).verdict for status in VERDICTS}
    assert verdicts == VERDICTS | {410: Verdict.RETRY}
