import pytest

from eventbus.errors import Refused
from eventbus.model import Event
from eventbus.web.kept_headers import MAX_HEAD_BYTES, kept_head, topic_of


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
        with pytest.raises(Refused, match="holds a character that no header may hold"):
            kept_head({name: value})


def test_kept_headers_have_a_limit_together() -> None:
    """Up to 16 KiB of headers are kept, and more are refused with their size."""
    rest = len(b"ce-a: \r\n")
    assert len(kept_head({"HTTP_CE_A": "x" * (MAX_HEAD_BYTES - rest)})) == MAX_HEAD_BYTES
    with pytest.raises(Refused, match="have 16385 bytes"):
        kept_head({"HTTP_CE_A": "x" * (MAX_HEAD_BYTES - rest + 1)})


@pytest.mark.parametrize(
    ("asked", "ce_type", "topic"),
    [("a.b", "c.d", "a.b"), (None, "c.d", "c.d"), ("", "c.d", "c.d"), (None, None, None), ("", "", None)],
)
def test_the_topic_is_asked_for_or_the_events_type(asked: str | None, ce_type: str | None, topic: str | None) -> None:
    """An event's topic is the one in the query, else its CloudEvents type, else none."""
    assert topic_of(asked, ce_type) == topic


@pytest.mark.parametrize(("asked", "ce_type"), [("a..b", None), (None, "a b"), ("a.*", "fine")])
def test_a_topic_that_is_none_is_refused(asked: str | None, ce_type: str | None) -> None:
    """A malformed topic is refused, wherever it came from."""
    with pytest.raises(Refused):
        topic_of(asked, ce_type)
