import pytest

from eventbus.core.errors import BadRequest
from eventbus.core.model import Event
from eventbus.web.kept_headers import MAX_HEAD_BYTES, attribute, kept_head, topic_in_query, topic_of_type


def headers_of(head: bytes) -> dict[str, str]:
    """The kept headers, as an event tells them."""
    return Event(1, "id", None, head, b"", 0.0).headers


def test_content_tracing_and_cloudevents_headers_are_kept() -> None:
    """Content-Type, Content-Encoding, traceparent, tracestate and ce-* travel with the event."""
    environ = {
        "CONTENT_TYPE": "application/json",
        "HTTP_CONTENT_ENCODING": "gzip",
        "HTTP_TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "HTTP_TRACESTATE": "vendor=value",
        "HTTP_CE_TYPE": "orders.created",
        "HTTP_CE_MY_EXTENSION": "a: b",
    }
    assert headers_of(kept_head(environ)) == {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "vendor=value",
        "ce-type": "orders.created",
        "ce-my-extension": "a: b",
    }


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_HOST", "HTTP_CONNECTION", "HTTP_TRANSFER_ENCODING",
        "HTTP_X_CE_TYPE", "HTTP_WEBHOOK_ID", "HTTP_EXPECT", "CONTENT_LENGTH", "REMOTE_ADDR",
    ],
)  # fmt: skip
def test_no_other_header_is_kept(name: str) -> None:
    """What a publisher sends to the bus, credentials above all, is not sent on to subscribers."""
    assert kept_head({name: "secret"}) == b""


def test_headers_that_are_empty_or_missing_are_not_kept() -> None:
    """An event that was published without headers has none."""
    assert kept_head({}) == kept_head({"CONTENT_TYPE": ""}) == b""


def test_a_value_is_kept_byte_for_byte() -> None:
    """Tabs, spaces inside and bytes beyond ASCII are kept as they came."""
    assert kept_head({"HTTP_CE_SUBJECT": "a \t b\xff\x80"}) == b"ce-subject: a \t b\xff\x80\r\n"


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\x1f", "\x7f", "\r\nEvil: 1"])
@pytest.mark.parametrize("name", ["CONTENT_TYPE", "HTTP_CE_SUBJECT", "HTTP_TRACESTATE"])
def test_a_value_that_no_header_may_hold_is_refused(name: str, character: str) -> None:
    """Control characters in a kept header are refused, so that none can be smuggled to a subscriber."""
    for value in (character, f"a{character}", f"a{character}b"):
        with pytest.raises(BadRequest, match="holds a character that is not allowed"):
            kept_head({name: value})


def test_kept_headers_have_a_limit_together() -> None:
    """Up to 16 KiB of headers are kept, and more are refused with their size."""
    rest = len(b"ce-a: \r\n")
    assert len(kept_head({"HTTP_CE_A": "x" * (MAX_HEAD_BYTES - rest)})) == MAX_HEAD_BYTES
    with pytest.raises(BadRequest, match="have 16385 bytes"):
        kept_head({"HTTP_CE_A": "x" * (MAX_HEAD_BYTES - rest + 1)})


@pytest.mark.parametrize("asked", ["a..b", "a b", "a.*", ".", "caf\xe9", "x" * 257])
def test_a_topic_that_is_none_is_refused(asked: str) -> None:
    """Who asks for a topic that is none is told so; who asks for none has none."""
    with pytest.raises(BadRequest):
        topic_in_query(asked)
    assert (topic_in_query(None), topic_in_query(""), topic_in_query("a.b")) == (None, None, "a.b")


@pytest.mark.parametrize(
    ("ce_type", "topic"),
    [("a.b", "a.b"), ("", None), ("a b", None), ("a..b", None), ("a.>", None), ("a.*", None),
     ("caf\xe9", None), ("x" * 300, None), (".".join("abcdefghijklmnopqrst"), None), ("urn:a:b", "urn:a:b")],
)  # fmt: skip
def test_a_type_is_a_topic_where_it_can_be_one(ce_type: str, topic: str | None) -> None:
    """A CloudEvent's type may be any text: one that is no topic gives the event none."""
    assert topic_of_type(ce_type) == topic


@pytest.mark.parametrize(
    ("written", "value"),
    [("a.b", "a.b"), (" a ", "a"), ("", ""), ("caf%C3%A9", "caf\xe9"), ("caf%c3%a9", "caf\xe9"), ("a%20b", "a b"),
     ('"a b"', "a b"), ('"a\\"b%25"', 'a"b%'), ("100%", "100%"), ("%zz", "%zz"), ('"', '"'),
     ("caf\xc3\xa9", "caf\xe9")],
)  # fmt: skip
def test_an_attribute_is_decoded_as_the_http_binding_says(written: str, value: str) -> None:
    """Quotes go, then escapes are read as UTF-8 (HTTP binding, 3.1.3.2)."""
    assert attribute({"HTTP_CE_TYPE": written}, "type") == value
    assert attribute({}, "type") == ""


def test_bytes_that_are_no_text_stay_apart() -> None:
    """Two ids that differ only in bytes that are no UTF-8 are two."""
    assert attribute({"HTTP_CE_ID": "%ff"}, "id") != attribute({"HTTP_CE_ID": "%fe"}, "id")
