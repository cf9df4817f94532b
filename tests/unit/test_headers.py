"""Headers that come from the journal are sent only where a publisher can have sent them."""

import pytest

from eventbus.core.errors import BadRequest
from eventbus.core.headers import is_valid_head
from eventbus.core.model import Event
from eventbus.delivery.lane.outcome import DeliveryResponse, Verdict, classify_response
from eventbus.delivery.transport.request import event_head
from eventbus.web.kept_headers import kept_head

GOOD = {
    "CONTENT_TYPE": "application/json; charset=utf-8",
    "HTTP_CONTENT_ENCODING": "gzip",
    "HTTP_TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "HTTP_TRACESTATE": "a=b,\tc=d",
    "HTTP_CE_ID": "caf\xe9 !~",
    "HTTP_CE_X_Y!#$%&'*+.^`|~1": "",
}
BAD = [
    b"Content-Type: a\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"Content-Type: a\nX: b\r\n",
    b"Content-Type: a\rX: b\r\n",
    b"Content-Type: a\0\r\n",
    b"Content-Type: a\x1b[2J\r\n",
    b"Content-Type: a\x7f\r\n",
    b"Content-Type: a",
    b"Content-Type: a\n",
    b"Content-Type:a\r\n",
    b"Content-Type\r\n",
    b": a\r\n",
    b"\r\n",
    b"ce-a b: c\r\n",
    b"ce-\xe9: c\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 0\r\n",
    b"Host: elsewhere\r\n",
    b"Content-Type: a\r\nConnection: close\r\n",
    b"Authorization: Bearer x\r\n",
    b"Webhook-Id: another\r\n",
    b" folded\r\n",
    b"Content-Type: a\r\n folded\r\n",
]


def event(head: bytes, event_id: str = "e-1", topic: str | None = None) -> Event:
    """An event with this head."""
    return Event(1, event_id, topic, head, b"{}", 1_795_476_715.0)


@pytest.mark.parametrize("environ", [{}, GOOD, *({name: value} for name, value in GOOD.items())])
def test_what_publishers_send_may_be_sent(environ: dict[str, str]) -> None:
    """Every head that the bus keeps is one."""
    head = kept_head(environ)
    assert is_valid_head(head)
    assert event_head(event(head)).startswith(head)


@pytest.mark.parametrize("head", BAD)
def test_what_no_publisher_can_have_sent_is_not_sent(head: bytes) -> None:
    """Neither control characters, nor what ends a request or says where it ends; and it is shown as nothing."""
    assert not is_valid_head(head)
    assert event(head).headers == {}
    with pytest.raises(BadRequest, match="may not be sent"):
        event_head(event(head))


@pytest.mark.parametrize("value", ["a\r\nb", "a\0", "\N{SNOWMAN}", "\udcff"])
def test_neither_is_an_id_or_a_topic_that_breaks_out(value: str) -> None:
    """Nor one that no header can hold."""
    for bad in (event(b"", event_id=value), event(b"", topic=value)):
        with pytest.raises(BadRequest, match="cannot hold"):
            event_head(bad)


def test_a_head_of_many_lines_is_looked_at_in_one_go() -> None:
    """However it ends."""
    lines = b"ce-a: b\r\n" * 2_000
    assert is_valid_head(lines)
    assert not is_valid_head(lines + b"ce-a: b")


def test_an_event_that_may_not_be_sent_is_a_dead_letter_at_once() -> None:
    """It is no word about the subscriber, which is not asked."""
    assert classify_response(DeliveryResponse(None, sendable=False), 0.0).verdict is Verdict.REJECTED
    assert classify_response(DeliveryResponse(None), 0.0).verdict is Verdict.DOWN
