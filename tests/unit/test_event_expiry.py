"""When an event expires is kept with it as the CloudEvents attribute expirytime, and read from there."""

import math

import pytest

from eventbus.core.dead_events import dead_message
from eventbus.core.errors import BadRequest
from eventbus.core.event_expiry import (
    check_expirytime,
    displayed_expiry,
    expires_at,
    expirytime_in,
    parse_expires,
    with_expiry,
)
from eventbus.core.headers import is_valid_head
from eventbus.journal.publish_digest import compared_content, content_of
from eventbus.web.publish_expiry import expiry_in
from eventbus.web.query import parse_query
from tests.support.events import event, message
from tests.support.lanes import EPOCH

JSON = b"Content-Type: application/json\r\n"
TEN = "2026-11-18T11:06:50Z"  # ten seconds after EPOCH


@pytest.mark.parametrize(("text", "seconds"), [("0.1", 0.1), ("30", 30.0), ("1.5", 1.5), ("31622400", 31_622_400.0)])
def test_a_number_of_seconds_within_the_range_is_taken(text: str, seconds: float) -> None:
    """From a tenth of a second to 366 days, fractions too."""
    assert parse_expires(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0.09", "-1", "31622400.1", "31622401", "nan", "inf", "1e3", "30s", " 30", "٣"]
)
def test_anything_else_is_refused_with_the_range(text: str) -> None:
    """The error names the parameter, what it may be, and what it was."""
    with pytest.raises(
        BadRequest, match=r"expires must be a number of seconds from 0\.1 to 31622400 \(366 days\), not"
    ):
        parse_expires(text)


@pytest.mark.parametrize(
    "text", [TEN, "2026-11-18t13:53:30.25+01:00", "9999-12-31T23:59:59-23:59", "2016-12-31T23:59:60Z"]
)
def test_any_rfc_3339_time_is_an_expirytime(text: str) -> None:
    """Whenever it is, with any offset, and a leap second too."""
    assert check_expirytime(text, "It") == text


@pytest.mark.parametrize("text", ["", "30", "tomorrow", "2026-11-18", "2026-11-18T11:06:50", "2026-11-18 12:53:30Z"])
def test_another_text_is_no_expirytime(text: str) -> None:
    """The error says whose it is, and what it was."""
    with pytest.raises(BadRequest, match="It has an expirytime that is not RFC 3339"):
        check_expirytime(text, "It")


def test_seconds_become_a_time_in_the_head() -> None:
    """It counts from the given moment, to the millisecond, and the head may be sent."""
    head = with_expiry(JSON, None, 10.25, EPOCH)
    assert head == b"ce-expirytime: 2026-11-18T11:06:50.250Z\r\n" + JSON
    assert expires_at(head) == EPOCH + 10.25
    assert is_valid_head(head)


def test_the_events_own_time_goes_before_seconds_and_before_a_header() -> None:
    """A head has one expirytime: that of the event, as it was written."""
    head = with_expiry(JSON, TEN, None, EPOCH)
    later = with_expiry(head + b"ce-a: b\r\n", "2026-11-18T11:07:50Z", 5.0, EPOCH)
    assert later == b"ce-expirytime: 2026-11-18T11:07:50Z\r\n" + JSON + b"ce-a: b\r\n"
    assert expires_at(later) == EPOCH + 70


def test_a_head_without_the_attribute_does_not_expire() -> None:
    """Nor one where another header has the name in its value, nor one that a foreign program wrote."""
    for head in (b"", JSON, b"ce-subject: ce-expirytime: 2000-01-01T00:00:00Z\r\n", b"ce-expirytime: soon\r\n"):
        assert expires_at(head) == math.inf
    assert with_expiry(JSON, None, None, EPOCH) is JSON
    assert expirytime_in(b"ce-expirytime: soon\r\n") == "soon"


def test_what_is_published_for_a_dead_letter_keeps_the_time_and_does_not_expire() -> None:
    """The attribute may not be removed (CloudEvents), and what has expired would be dead again at once."""
    dead = event(1, head=with_expiry(JSON, TEN, None, EPOCH))
    published = dead_message(dead, "orders.dead", "expired", "127.0.0.1:8000", "new", EPOCH + 99)
    assert (expirytime_in(published.head), expires_at(published.head)) == (TEN, math.inf)


def test_what_is_shown_is_what_the_publisher_wrote() -> None:
    """And nothing, where the event does not expire."""
    assert displayed_expiry(with_expiry(JSON, "2016-12-31T23:59:60Z", None, EPOCH)) == "2016-12-31T23:59:60Z"
    dead = b"ce-expirytime: 2000-01-01T00:00:00Z\r\nEventbus-Dead-Event: id\r\n"
    assert [displayed_expiry(head) for head in (JSON, b"ce-expirytime: soon\r\n", dead)] == [None] * 3


def test_a_request_says_when_its_events_expire() -> None:
    """By its query, by its header, decoded as an attribute is, or by both, of which the header's is the events' own."""
    query = expiry_in({}, parse_query("expires=30"), EPOCH)
    assert query.head(JSON, None) == with_expiry(JSON, None, 30.0, EPOCH)
    both = expiry_in({"HTTP_CE_EXPIRYTIME": '"2026-11-18T11%3A06%3A50Z"'}, parse_query("expires=30"), EPOCH)
    assert both.head(b"ce-expirytime: %22\r\n", None) == f"ce-expirytime: {TEN}\r\n".encode()
    assert both.head(b"", "2027-01-01T00:00:00Z") == b"ce-expirytime: 2027-01-01T00:00:00Z\r\n"
    assert expiry_in({}, parse_query(""), EPOCH).head(JSON, None) is JSON


@pytest.mark.parametrize(
    ("environ", "query"), [({}, "expires="), ({}, "expires=1,5"), ({"HTTP_CE_EXPIRYTIME": "1"}, "")]
)
def test_a_wrong_expiry_is_refused(environ: dict[str, str], query: str) -> None:
    """Wherever it stands."""
    with pytest.raises(BadRequest):
        expiry_in(environ, parse_query(query), EPOCH)


def test_the_digest_of_a_publish_has_what_was_asked_for() -> None:
    """The seconds as they were given, so that a repetition a minute later is the same; none is as before."""
    first, again = ([message("1", head=with_expiry(b"", None, 30.0, at))] for at in (EPOCH, EPOCH + 60))
    terms = expiry_in({}, parse_query("expires=30"), EPOCH).terms
    assert compared_content(first, "k", terms) == compared_content(again, "k", terms)
    others = [
        expiry_in({}, parse_query("expires=31"), EPOCH).terms,
        expiry_in({"HTTP_CE_EXPIRYTIME": TEN}, parse_query(""), EPOCH).terms,
        "",
    ]
    assert len({compared_content(first, "k", each) for each in (terms, *others)}) == 4
    assert compared_content(first, "k", "") == content_of(first) == content_of([message("1")])
