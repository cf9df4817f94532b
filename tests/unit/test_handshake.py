import pytest
from requests.structures import CaseInsensitiveDict

from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.delivery.lane.outcome import Consent
from eventbus.delivery.transport.consent import parse_consent
from tests.support.lanes import EPOCH, TAKEN, answer, high, subscriber_with, take_all

ORIGIN = "bus.example.com"


def said(status: int = 200, **headers: str) -> Consent:
    """What an answer with these headers means; an underscore stands for a hyphen."""
    return parse_consent(status, CaseInsensitiveDict({k.replace("_", "-"): v for k, v in headers.items()}), ORIGIN)


def lane_that_asks(*seqs: int) -> Lane:
    """A lane whose subscriber has to consent first."""
    record = new_record(subscriber_with(), EPOCH, 0)
    rules = Rules(rng=high, handshake=True)
    lane = lane_of(record, rules, retries=0, ends=1_000_000, now=0, wall=EPOCH)
    lane.offer(seqs)
    return lane


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("allowed", [ORIGIN, "*", f" {ORIGIN} ", "BUS.EXAMPLE.COM", "Bus.example.com"])
def test_a_success_that_names_the_origin_or_anybody_is_consent(status: int, allowed: str) -> None:
    """Any 2xx that allows this origin, or all of them, is consent to any number of deliveries."""
    assert said(status, WebHook_Allowed_Origin=allowed) == Consent(given=True)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 307, 400, 401, 404, 405, 410, 429, 500, 503])
def test_any_other_status_is_no_consent(status: int) -> None:
    """An answer that is no success is no consent, whatever its headers say, and the error names the status."""
    consent = said(status, WebHook_Allowed_Origin="*")
    assert not consent.given
    assert str(status) in consent.error


@pytest.mark.parametrize(
    "allowed",
    [
        "",
        " ",
        "null",
        "example.com",
        "other.example.com",
        "bus.example.com.evil.example",
        "bus.example",
        "xbus.example.com",
        "bus.example.com:443",
        "http://bus.example.com",
        "bus.example.com/",
        "bus.example.com.",
        "bus.example.com, other.example.com",
        "bus.example.com bus.example.com",
        "*.example.com",
        "**",
        "*, bus.example.com",
        '"*"',
    ],
)
def test_only_the_origin_to_the_letter_is_consent(allowed: str) -> None:
    """Another case, a part, a longer name, a pattern or a list is no consent; the error says what was allowed."""
    consent = said(WebHook_Allowed_Origin=allowed)
    assert not consent.given
    assert ORIGIN in consent.error
    assert (allowed.strip() or "nobody") in consent.error


def test_a_success_without_the_header_allows_nobody() -> None:
    """A server that answers OPTIONS without knowing of this consents to nothing."""
    consent = said(200, Allow="OPTIONS, POST", Access_Control_Allow_Origin="*", WebHook_Request_Origin=ORIGIN)
    assert not consent.given
    assert "nobody" in consent.error


@pytest.mark.parametrize(
    ("rate", "per_minute"), [("1", 1), ("60", 60), (" 120 ", 120), ("999999999", 999_999_999), ("*", None)]
)
def test_a_rate_is_a_number_per_minute_or_any(rate: str, per_minute: int | None) -> None:
    """``WebHook-Allowed-Rate`` is a positive whole number of deliveries per minute, or ``*``."""
    assert said(WebHook_Allowed_Origin="*", WebHook_Allowed_Rate=rate) == Consent(given=True, per_minute=per_minute)


@pytest.mark.parametrize(
    "rate", ["", "0", "-1", "+1", "1.5", "1e3", "0x10", "060", "10 per second", "1,2", "٣", "9" * 10]
)
def test_a_rate_that_is_no_number_is_no_consent(rate: str) -> None:
    """A rate that cannot be obeyed is not passed over: nothing is delivered, and the error shows it."""
    consent = said(WebHook_Allowed_Origin="*", WebHook_Allowed_Rate=rate)
    assert not consent.given
    assert repr(rate) in consent.error


def test_what_a_subscriber_writes_is_repeated_in_part_and_escaped() -> None:
    """A long or odd value is cut in the error, and can break no line of a log."""
    error = said(WebHook_Allowed_Origin="\u2028\x85\n" + "x" * 10_000).error
    assert len(error) < 200
    assert error.isprintable()


def test_before_consent_one_delivery_at_a_time_asks() -> None:
    """A lane whose subscriber has not consented starts one delivery, which asks; with consent come the others."""
    lane = lane_that_asks(1, 2, 3)
    (first,) = take_all(lane, 0)
    lane.consent(None, 0)
    answer(lane, first, TAKEN, 0)
    assert [delivery.seq for delivery in take_all(lane, 0)] == [2, 3]


def test_a_rate_spaces_the_starts_of_deliveries() -> None:
    """With 60 per minute allowed, each delivery starts a second after the one before it, the very first included."""
    lane = lane_that_asks(1, 2, 3)
    (first,) = take_all(lane, 0)
    lane.consent(60, 0)
    answer(lane, first, TAKEN, 0.1)
    assert [(now, [delivery.seq for delivery in take_all(lane, now)]) for now in (0.2, 0.9, 1.0, 1.9, 2.0)] == [
        (0.2, []),
        (0.9, []),
        (1.0, [2]),
        (1.9, []),
        (2.0, [3]),
    ]
