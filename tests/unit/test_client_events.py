import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.client import DeadLetter, Event, UsageError
from eventbus.client.events import OLDEST_EVENT_ID, event_id_at, parse_server_sent
from eventbus.client.parsing import parse_as
from eventbus.core.event_ids import unix_ms_of

AT = datetime(2026, 11, 24, 6, 3, 29, tzinfo=UTC)


def event(body: bytes, kind: str = "", **headers: str) -> Event:
    """An event with this body and type."""
    return Event("e1", "a", body, {**headers, **({"content-type": kind} if kind else {})}, AT)


def test_a_stream_is_read_field_by_field() -> None:
    """Heartbeats are ignored, and an event counts only once it is complete."""
    lines = [b": eventbus", b"", b":", b"", b"id: e1", b'data: {"a":1}', b"", b"id:e2", b"data:x\r", b"", b"id: e3"]
    assert list(parse_server_sent(lines)) == [{"id": "e1", "data": '{"a":1}'}, {"id": "e2", "data": "x"}]


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_a_time_is_written_as_an_id_that_the_bus_understands(at: datetime) -> None:
    """A position may be a time: the bus takes an id that it has not for the time that is in it."""
    assert unix_ms_of(event_id_at(at)) == int(at.timestamp() * 1_000)


def test_a_time_needs_an_offset() -> None:
    """What could mean two moments is refused."""
    assert unix_ms_of(OLDEST_EVENT_ID) == 0
    assert unix_ms_of(event_id_at(datetime.fromtimestamp(0, UTC) - timedelta(days=1))) == 0
    with pytest.raises(UsageError, match="offset"):
        event_id_at(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


def test_data_is_what_was_published() -> None:
    """JSON decoded, text as text, and anything else as the bytes."""
    assert event(b'{"n":1}', "application/json; charset=utf-8").data == {"n": 1}
    assert event(b'{"n":1}', "application/vnd.order+json").data == {"n": 1}
    assert event("\u00fc".encode(), "Text/Plain").data == "\u00fc"
    assert event(b"\xff", "application/octet-stream").data == event(b"\xff").data == b"\xff"
    assert event(b"[1]").json() == [1]


def test_a_cloudevent_has_data_and_attributes_in_either_mode() -> None:
    """Whether the attributes come as headers or around the data is nobody's business."""
    binary = event(b"7", "application/json", **{"ce-subject": "a%20b", "ce-id": "c1"})
    assert (binary.data, binary.attributes) == (
        *(7, {"subject": "a b", "id": "c1", "datacontenttype": "application/json"}),
    )
    kind = "application/cloudevents+json"
    attributes = {"id": "c1", "subject": "a b"}
    assert event(json.dumps({**attributes, "data": 7}).encode(), kind).data == 7
    raw = event(json.dumps({**attributes, "data_base64": base64.b64encode(b"\xff").decode()}).encode(), kind)
    assert (raw.data, raw.attributes) == (b"\xff", attributes)
    assert event(json.dumps(attributes).encode(), kind).data is None


@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        ("application/x-www-form-urlencoded", b'{"order": 42}', {"order": 42}),  # what curl --data says
        ("", b" \r\n[1, 2]", [1, 2]),
        ("text/plain", b'{"order": 42}', {"order": 42}),
        ("application/octet-stream", b'{"order": 42}', {"order": 42}),
        ("application/x-www-form-urlencoded", b"a=1&b=2", b"a=1&b=2"),
        ("", b"{no json", b"{no json"),
        ("", b"\xff[", b"\xff["),
        ("text/plain", b"[draft] hello", "[draft] hello"),
        ("text/plain", b"42", "42"),
        ("", b"42", b"42"),
        ("text/plain", b"[" * 100_000, "[" * 100_000),
        ("application/json; charset=utf-8", b"42", 42),
    ],
)
def test_json_is_decoded_whatever_its_type_says(kind: str, body: bytes, data: object) -> None:
    """An object or an array is; a text that is a number stays one, and what is no JSON stays as it is."""
    assert event(body, kind).data == data


def test_what_is_no_json_but_claims_to_be_is_told() -> None:
    """A type that is JSON's is believed."""
    with pytest.raises(ValueError, match="Expecting"):
        assert event(b"{no json", "application/json").data


def test_what_a_newer_bus_says_beyond_is_passed_over() -> None:
    """A client ignores fields that only a newer bus has."""
    payload = {"id": 1, "event": "e", "topic": None, "subscriber": "h:1", "reason": "rejected", "attempts": 1}
    payload |= {"first_attempt_at": None, "last_attempt_at": "2026-11-24T06:03:29Z", "last_status": 422}
    payload |= {"last_error": None, "last_answer": {"base64": "/w=="}, "mood": "new"}
    letter = parse_as(DeadLetter, payload)
    assert (letter.last_attempt_at, letter.first_attempt_at, letter.last_answer) == (AT, None, b"\xff")
