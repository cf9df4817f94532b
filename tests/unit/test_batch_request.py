"""Events as they stand in a batch: CloudEvents in JSON, each made once."""

import base64
import json
from typing import Any

import pytest

from eventbus.client.signatures import Verifier
from eventbus.core.errors import BadRequest
from eventbus.core.model import Event
from eventbus.delivery.transport.batch_request import BatchRequestBuilder, ElementCache, batch_id_of, element_of
from eventbus.web.cloudevents import parse_batch

WALL = 1_795_000_000.25
JSON_HEAD = b"Content-Type: application/json\r\n"
HEAD = b"POST /event HTTP/1.1\r\nHost: here\r\n"


def event_with(
    body: bytes = b'{"a": 1}', head: bytes = JSON_HEAD, topic: str | None = "orders", key: str = ""
) -> Event:
    """An event with the id of its body's length."""
    return Event(1, f"id-{len(body)}", topic, head, body, WALL, key)


def written(event: Event) -> Any:
    """The element, parsed."""
    return json.loads(element_of(event).text)


def test_an_event_is_written_as_a_cloud_event() -> None:
    """The topic is the type, the bus's id the id, and a body in JSON the data."""
    assert written(event_with(key="customer-7")) == {
        "specversion": "1.0",
        "id": "id-8",
        "source": "eventbus",
        "type": "orders",
        "time": "2026-11-18T11:06:40Z",
        "datacontenttype": "application/json",
        "key": "customer-7",
        "data": {"a": 1},
    }


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"\x00\xff", b""),
        (b"text", b"Content-Type: text/plain\r\n"),
        (b'{"a": 1', JSON_HEAD),
        (b"[NaN]", JSON_HEAD),
        (b'"\xff"', JSON_HEAD),
        (b'{"a": 1}', JSON_HEAD + b"Content-Encoding: gzip\r\n"),
        (b"[" * 100_000, JSON_HEAD),
        (b"7", b""),
    ],
)
def test_what_is_not_json_is_base64(body: bytes, head: bytes) -> None:
    """A body that is no JSON, or compressed, or has no type and is neither object nor array, keeps its bytes."""
    assert base64.b64decode(written(event_with(body, head))["data_base64"]) == body


def test_a_cloud_event_keeps_its_attributes() -> None:
    """A CloudEvent's own id, source, type and extensions stay, and the bus's id is beside them."""
    head = b"ce-id: 7\r\nce-source: /shop\r\nce-type: made\r\nce-colour: r%C3%B6t\r\nce-Not-A-Name: x\r\n" + JSON_HEAD
    found = written(event_with(head=head))
    assert found["id"] == "7"
    assert (found["source"], found["type"], found["colour"]) == ("/shop", "made", "röt")
    assert (found["eventbusid"], found["eventbustopic"]) == ("id-8", "orders")
    assert "not-a-name" not in found
    assert element_of(event_with(head=head)).ids == ("id-8", "7")


def test_a_structured_cloud_event_is_an_element() -> None:
    """A structured CloudEvent is no data of another: its attributes are the element's."""
    body = b'{"specversion":"1.0","id":"7","source":"/shop","type":"made","data":[1.5,"\\u00e9"]}'
    found = written(event_with(body, b"Content-Type: application/cloudevents+json\r\n", topic="made"))
    assert (found["id"], found["eventbusid"], found["data"]) == ("7", f"id-{len(body)}", [1.5, "é"])
    assert "eventbustopic" not in found


def test_an_event_without_a_topic_has_a_type() -> None:
    """CloudEvents need a type: one that is no topic stands for none."""
    assert written(event_with(topic=None))["type"] == "eventbus/event"


def test_events_with_equal_headers_have_elements_of_their_own() -> None:
    """What is remembered of a head is what its events have in common: not their topics, times, ids and keys."""
    own = b"ce-id: 7\r\nce-key: given\r\nce-eventbusid: given\r\n"
    for head in (JSON_HEAD, own):
        first, second = event_with(head=head, key="a"), event_with(b"[]", head, topic="other")
        third = second._replace(accepted_at=WALL + 1)
        found = [written(each) for each in (first, second, third, first)]
        assert found[0] == found[3]
        assert [each["type"] for each in found[:2]] == ["orders", "other"]
        assert [each["time"][-3:] for each in found[1:3]] == ["40Z", "41Z"]
        assert [each.get("key") for each in found[:2]] == ["a", "given" if head is own else None]
        assert [each["eventbusid" if head is own else "id"] for each in found[:2]] == ["id-8", "id-2"]


def test_headers_that_may_not_be_sent_make_no_element() -> None:
    """What the journal holds though no publisher can have sent it is refused."""
    with pytest.raises(BadRequest):
        element_of(event_with(head=b"Host: elsewhere\r\n"))


def test_a_batch_is_what_the_bus_would_accept() -> None:
    """The bus's own parser of batches takes a batch, with all of its events."""
    events = [event_with(), event_with(b"\x00", b""), event_with(topic=None), event_with(b"", b"")]
    body = b"[" + b",".join(element_of(event).text for event in events) + b"]"
    assert [event.id for event in parse_batch(body, 10_000)] == ["id-8", "id-1", "id-8", "id-0"]


def test_elements_are_made_once_and_bounded() -> None:
    """One event has one element for all subscribers, and the cache keeps no more bytes than it may."""
    cache, event = ElementCache(), event_with()
    made = cache.of(event)
    assert cache.of(event) is made
    large = [event_with(b"x" * 1_000_000, b"") for _ in range(8)]
    last = [cache.of(each) for each in large][-2:]
    assert [cache.of(each) for each in large[-2:]] == last
    assert cache.of(large[-2]) is last[0]
    assert cache.of(event) is not made
    assert cache.of(event).ids == ("id-8",)


def test_a_request_is_signed_as_a_whole() -> None:
    """Both signatures cover the batch's id, time, body and type; ``Eventbus-Batch`` counts its events."""
    secret = b"s" * 24
    batch = [element_of(event_with()), element_of(event_with(b"[]"))]
    request = BatchRequestBuilder((secret,)).build(HEAD, batch, 3, WALL)
    assert isinstance(request, bytes)
    head, _, body = request.partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert (lines["Eventbus-Batch"], lines["Eventbus-Attempt"]) == ("2", "3")
    assert (lines["Webhook-Id"], int(lines["Content-Length"])) == (batch_id_of(batch), len(body))
    assert [each["id"] for each in json.loads(body)] == ["id-8", "id-2"]
    verifier = Verifier("whsec_" + base64.b64encode(secret).decode())
    verifier.check({name.lower(): value for name, value in lines.items()}, body, WALL)


def test_requests_of_one_second_share_their_end() -> None:
    """The same events have the same id, and other events another one."""
    builder, first, second = BatchRequestBuilder(), element_of(event_with()), element_of(event_with(b"[]"))
    assert builder.build(HEAD, [first, second], 1, WALL) == builder.build(HEAD, [first, second], 1, WALL)
    assert builder.build(HEAD, [first], 1, WALL) != builder.build(HEAD, [first, second], 1, WALL)
    assert batch_id_of([first, second]) != batch_id_of([second, first])
