"""The order key of an event: how publishers give it, and where it is seen."""

import json

import pytest

from eventbus.client import Bus, UsageError
from tests.support.caller import JSON, Caller
from tests.support.subscriber import Subscribe

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
#: Target, headers and body of a publish.
Parts = tuple[str, list[tuple[str, str]], bytes]
RANGE = "must be 1 to 256 bytes of UTF-8 without control characters"


def cloud_event(**attributes: object) -> dict[str, object]:
    """A CloudEvent."""
    return {"specversion": "1.0", "id": "1", "source": "/t", "type": "a.b", **attributes}


@pytest.mark.parametrize(
    ("request_parts", "key"),
    [
        (("/sendMessage?key=customer-7", [], b""), "customer-7"),
        (("/sendMessage?key=%C3%A4%25+b", [], b""), "ä% b"),
        (("/sendMessage", [("ce-partitionkey", "customer-8")], b""), "customer-8"),
        (("/sendMessage", [("ce-partitionkey", '"%C3%A4 b"')], b""), "ä b"),
        (("/sendMessage?key=mine", [("ce-partitionkey", "other")], b""), "mine"),
        (("/sendMessage", [("Content-Type", STRUCTURED)], json.dumps(cloud_event(partitionkey="c")).encode()), "c"),
        (("/sendMessage?key=mine", [("Content-Type", STRUCTURED)], json.dumps(cloud_event()).encode()), "mine"),
        (("/sendMessage", [("Content-Type", STRUCTURED)], json.dumps(cloud_event(partitionkey=None)).encode()), None),
        (("/sendMessage", [], b""), None),
    ],
)
def test_a_key_comes_with_the_delivery_and_is_seen_in_the_journal(
    caller: Caller,
    client: Bus,
    subscribe: Subscribe,
    request_parts: Parts,
    key: str | None,
) -> None:
    """The query's goes before the CloudEvent's; the header is escaped, JSON is not."""
    subscriber = subscribe()
    event_id = caller.call("POST", *request_parts).header("Webhook-Id") or ""
    subscriber.wait_for_ids([event_id])
    escaped = {"ä% b": "%C3%A4%25%20b", "ä b": "%C3%A4%20b"}
    assert subscriber.received[0].header("Eventbus-Key") == (escaped.get(key, key) if key else None)
    assert caller.call("GET", f"/events/{event_id}", [JSON]).json()["key"] == key
    assert client.event(event_id).key == key


@pytest.mark.parametrize(
    ("target", "headers", "body", "name"),
    [
        ("/sendMessage?key=", [], b"", "key"),
        (f"/sendMessage?key={'x' * 257}", [], b"", "key"),
        ("/sendMessage?key=a%0Ab", [], b"", "key"),
        ("/sendMessage?key=%FF", [], b"", "key"),
        ("/sendMessage", [("ce-partitionkey", "x" * 257)], b"", "partitionkey"),
        ("/sendMessage", [("ce-partitionkey", "%FF")], b"", "partitionkey"),
        ("/sendMessage", [("Content-Type", STRUCTURED)], json.dumps(cloud_event(partitionkey="")).encode(), "partit"),
        ("/sendMessage", [("Content-Type", BATCH)], json.dumps([cloud_event(partitionkey="x" * 257)]).encode(), "par"),
    ],
)
def test_a_key_out_of_range_is_refused(
    caller: Caller, target: str, headers: list[tuple[str, str]], body: bytes, name: str
) -> None:
    """The answer is 400, and says what a key may be."""
    response = caller.call("POST", target, headers, body)
    assert (response.status, name in response.text, RANGE in response.text) == (400, True, True)


@pytest.mark.parametrize("headers", [[("Content-Type", BATCH)], []])
def test_a_batch_has_no_key_of_its_own(caller: Caller, headers: list[tuple[str, str]]) -> None:
    """In a batch each CloudEvent has its own key; a line has none."""
    target = "/sendMessage?key=a" if headers else "/sendMessage?key=a&batch=lines"
    response = caller.call("POST", target, headers, b"[]")
    assert (response.status, "each CloudEvent has its own" in response.text) == (400, True)


def test_each_event_of_a_batch_has_its_own_key(caller: Caller, client: Bus) -> None:
    """Of a batch some may have a key, and others none; a key that is no text is refused."""
    events = [cloud_event(partitionkey="a"), cloud_event(id="2"), cloud_event(id="3", partitionkey="b")]
    headers = [("Content-Type", BATCH), JSON]
    ids = caller.call("POST", "/sendMessage", headers, json.dumps(events).encode()).json()["ids"]
    assert [client.event(event_id).key for event_id in ids] == ["a", None, "b"]
    refused = caller.call("POST", "/sendMessage", headers, json.dumps([cloud_event(partitionkey=7)]).encode())
    assert (refused.status, "partitionkey that is not a string" in refused.text) == (400, True)


def test_the_client_publishes_and_sees_keys(client: Bus, subscribe: Subscribe) -> None:
    """``order_by`` is the key of an event, a repeated publish with another one is another, and a dead letter has it."""
    subscriber = subscribe(lambda _: (422, (), b""), topic="client.keys")
    published = client.publish("client.keys", b"x", order_by="customer 7", key="k")
    subscriber.wait_for_ids([published.id])
    assert [event.key for event in client.events(topics=["client.keys"])] == ["customer 7"]
    with pytest.raises(Exception, match="was used for another"):
        client.publish("client.keys", b"x", order_by="customer 8", key="k")
    with pytest.raises(UsageError, match="order_by must be 1 to 256 bytes"):
        client.publish("client.keys", b"x", order_by="")
