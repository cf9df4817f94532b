import gzip
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event
from hypothesis import given
from hypothesis import strategies as st

from eventbus.client import BadBody, Reject
from eventbus.client.encoding import (
    BATCH_BYTES,
    batches,
    check_headers,
    check_patterns,
    cloud_event_headers,
    decode_attribute,
    decompress,
    encode_body,
    json_line,
)
from eventbus.client.errors import UsageError


@pytest.mark.parametrize(
    ("data", "body", "kind"),
    [
        (b"\x00\xff", b"\x00\xff", None),
        (bytearray(b"x"), b"x", None),
        ("\u00fc", "\u00fc".encode(), "text/plain; charset=utf-8"),
        ({"a": [1, None, "\u00fc"]}, '{"a":[1,null,"\u00fc"]}'.encode(), "application/json"),
        (None, b"null", "application/json"),
        (False, b"false", "application/json"),
    ],
)
def test_data_is_sent_by_what_it_is(data: Any, body: bytes, kind: str | None) -> None:
    """Bytes as they are, a str as text, and anything else as JSON."""
    assert encode_body(data) == (body, kind)


@pytest.mark.parametrize("data", [object(), {1: {2}}, float("nan")])
def test_what_is_no_json_is_refused(data: object) -> None:
    """Before anything is sent, and in a sentence."""
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        encode_body(data)


@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_attribute_survives_its_way_through_a_header(value: str) -> None:
    """CloudEvents' own library reads what was meant, and every header can be sent."""
    headers = cloud_event_headers({"source": "/s", "subject": value}, "a.b", "e1")
    assert check_headers(headers) == headers
    event = from_binary_event(HTTPMessage(headers=headers, body=b""))
    assert (event.get_id(), event.get_type(), event.get_source()) == ("e1", "a.b", "/s")
    assert event.get_subject() == value


def test_attributes_are_written_as_cloudevents_write_them() -> None:
    """Times, numbers and truths; None is left out, and what is given comes before what is usual."""
    at = datetime(2026, 11, 24, 6, 3, 29, tzinfo=UTC)
    given = {"source": "/s", "time": at, "number": 7, "yes": True, "none": None, "id": "mine"}
    headers = cloud_event_headers(given, "t", "e1")
    assert headers["ce-time"] == "2026-11-24T06:03:29Z"
    assert (headers["ce-number"], headers["ce-yes"], headers["ce-id"]) == ("7", "true", "mine")
    assert "ce-none" not in headers


@pytest.mark.parametrize(
    ("attributes", "topic", "why"),
    [
        ({"source": None}, "t", "source"),
        ({"source": "/s"}, None, "type"),
        ({"source": "/s", "Bad_Name": 1}, "t", "Bad_Name"),
        ({"source": "/s", "time": datetime(2026, 1, 1)}, "t", "offset"),  # noqa: DTZ001 - what is refused
    ],
)
def test_an_incomplete_cloudevent_is_refused(attributes: dict[str, Any], topic: str | None, why: str) -> None:
    """The error names what is missing or wrong."""
    with pytest.raises(UsageError, match=why):
        cloud_event_headers(attributes, topic, "e1")


@pytest.mark.parametrize("headers", [{"a b": "x"}, {"a": "x\r\nb: y"}, {"a": "\u2603"}, {"": "x"}, {"a": "\0"}])
def test_a_header_that_could_break_out_is_refused(headers: dict[str, str]) -> None:
    """Names and values are checked before anything is sent."""
    with pytest.raises(UsageError, match="cannot hold"):
        check_headers(headers)


def test_a_batch_line_is_json() -> None:
    """Bytes are JSON already; a str is data like any other, even one with line ends."""
    assert json_line(b' {"a":1}\r\n') == b'{"a":1}'
    assert json_line("a\nb") == rb'"a\nb"'
    for broken in (b"", b" \n", b"1\n2"):
        with pytest.raises(UsageError, match="one line"):
            json_line(broken)


@given(st.lists(st.integers()), st.integers(1, 7))
def test_batches_are_full_and_keep_the_order(items: list[int], size: int) -> None:
    """Every item is in one batch; all but the last are full."""
    made = list(batches(items, size))
    assert [line for batch in made for line in batch] == [b"%d" % item for item in items]
    assert all(len(batch) == size for batch in made[:-1])
    assert all(made)


def test_a_batch_is_bounded_in_bytes() -> None:
    """Large events make smaller batches; one that is larger than a batch goes alone."""
    third = b'"%s"' % (b"x" * (BATCH_BYTES // 3))
    huge = b'"%s"' % (b"x" * (BATCH_BYTES + 1))
    assert [len(batch) for batch in batches([third, third, third, huge, third], 1_000)] == [2, 1, 1, 1]


BODY = b'{"order": 42}'
ZIPPED = gzip.compress(BODY)


@pytest.mark.parametrize(
    ("body", "coding", "found"),
    [
        (ZIPPED, "gzip", BODY),
        (ZIPPED, " X-GZIP , identity", BODY),
        (gzip.compress(ZIPPED), "gzip, gzip", BODY),
        (ZIPPED + ZIPPED, "gzip", BODY * 2),
        (ZIPPED + bytes(9), "gzip", BODY),
        (gzip.compress(b""), "gzip", b""),
        (BODY, "", BODY),
        (BODY, "identity", BODY),
        (b"brotli", "br", b"brotli"),
        (ZIPPED, "gzip, br", ZIPPED),  # it begins with what is not known here
    ],
)
def test_gzip_is_undone(body: bytes, coding: str, found: bytes) -> None:
    """However often, and in however many parts; what is not known stays."""
    assert decompress(body, coding) == found


@pytest.mark.parametrize(
    "body", [b"", b"{}", ZIPPED[:-1], ZIPPED + b"x", zlib.compress(BODY), ZIPPED[:9] + b"\xff" * 9]
)
def test_what_is_no_gzip_is_told(body: bytes) -> None:
    """As a Reject, and as a ValueError."""
    with pytest.raises(BadBody) as caught:
        decompress(body, "gzip")
    assert isinstance(caught.value, Reject)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("times", [1, 2])
def test_a_bomb_is_not_unpacked(times: int) -> None:
    """What is larger than it may be stops there; just as large is fine."""
    body = bytes(1_000)
    for _ in range(times):
        body = gzip.compress(body)
    coding = ", ".join(["gzip"] * times)
    assert decompress(body, coding, 1_000) == bytes(1_000)
    with pytest.raises(BadBody, match="larger than 999 bytes"):
        decompress(body, coding, 999)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("a%20b", "a b"),
        ("%C3%BC", "\u00fc"),
        ('"a b"', "a b"),
        (r'"say \"hi\" \\"', 'say "hi" \\'),
        ('"50%25"', "50%"),
        ("50%", "50%"),
        ("%2541", "%41"),  # one round
        ("\u00c3\u00bc", "\u00fc"),  # UTF-8 as it came
        ("\u00fc", "\u00fc"),  # no UTF-8
        ("%FF", "%FF"),
        ("\u20ac", "\u20ac"),
        ('"', '"'),
        ('""', ""),
    ],
)
def test_an_attribute_is_read_from_its_header(header: str, value: str) -> None:
    """Quotes go first, then escapes, once."""
    assert decode_attribute(header) == value


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_what_the_client_writes_it_reads(value: str) -> None:
    """Whatever an attribute's value is."""
    headers = cloud_event_headers({"source": "/s", "subject": value}, "t", "1")
    assert decode_attribute(headers["ce-subject"]) == value


@pytest.mark.parametrize("pattern", ["a b", "a\n", "\u00fcber", "a\tb", " ", "a..b", ">.a"])
def test_a_pattern_that_the_bus_would_refuse_is_a_usage_error(pattern: str) -> None:
    """A pattern that could not be registered is refused where the handler is made."""
    with pytest.raises(UsageError, match="topic pattern"):
        check_patterns(["a", pattern])
