"""Bodies and attributes are read as the HTTP binding writes them."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.client import BadBody, Reject
from eventbus.client.encoding import cloud_event_headers, decode_attribute, decompress

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
