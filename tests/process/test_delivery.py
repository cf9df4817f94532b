"""What a subscriber receives: the event as it was published, and who else gets it."""

import re
from datetime import UTC, datetime

import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.raw_client import RawConnection, render_chunks, render_request
from tests.support.server import BusServer
from tests.support.subscriber import Received, RecordingSubscriber, Subscribe

#: Names that a delivery has of its own, in lower case, whatever was published.
OWN_HEADERS = {
    "host",
    "content-length",
    "webhook-id",
    "webhook-timestamp",
    "eventbus-attempt",
    "user-agent",
    "accept-encoding",
}
#: Kept from the publisher; ``ce-type`` is the topic where no other is given.
KEPT = (
    ("ce-specversion", "1.0"),
    ("ce-type", "orders.created"),
    ("ce-source", "/shop?a=1;b"),
    ("ce-subject", "caf\xe9"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", "vendor=value"),
    ("Content-Type", 'application/json; charset="utf-8"'),
    ("Content-Encoding", "gzip"),
)
NOT_KEPT = (
    ("Cookie", "a=b"),
    ("Authorization", "Bearer secret"),
    ("Proxy-Authorization", "Basic secret"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Custom", "custom"),
    ("Accept-Language", "de"),
    ("Referer", "http://example.com/"),
    ("Webhook-Signature", "v1,forged"),
    ("Eventbus-Attempt", "99"),
)


def one(subscriber: RecordingSubscriber) -> Received:
    """The one request that this subscriber gets."""
    subscriber.wait_for(1)
    (request,) = subscriber.received
    return request


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"%zz=1&address=x",
        bytes(range(256)) * 16,
        b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"x" * 65_536,
    ],
    ids=len,
)
def test_the_body_arrives_byte_for_byte(caller: Caller, subscribe: Subscribe, body: bytes) -> None:
    """A subscriber receives exactly the bytes that were published, with their length."""
    subscriber = subscribe()
    caller.publish(body, ("Content-Type", "application/x-www-form-urlencoded"))
    request = one(subscriber)
    assert (request.method, request.path) == ("POST", "/event")
    assert (request.body, request.header("Content-Length")) == (body, str(len(body)))


def test_chunks_arrive_as_one_body(bus: BusServer, subscribe: Subscribe) -> None:
    """A body that was published in chunks is delivered whole."""
    subscriber = subscribe()
    with RawConnection(bus.port) as raw:
        raw.send(render_request("POST", "/sendMessage", [("Transfer-Encoding", "chunked")]))
        raw.send(render_chunks([b"one", b"\x00" * 5_000, b"three"]))
        assert raw.read().status == 200
    assert one(subscriber).body == b"one" + b"\x00" * 5_000 + b"three"


@pytest.mark.parametrize(
    ("prefix", "path"), [("", "/event"), ("/orders", "/orders/event"), ("/a/b%20c", "/a/b%20c/event")]
)
def test_the_path_prefix_is_kept(caller: Caller, subscribe: Subscribe, prefix: str, path: str) -> None:
    """Events go to ``/event`` below the path in the address."""
    subscriber = subscribe(prefix=prefix)
    caller.publish()
    request = one(subscriber)
    assert (request.path, request.header("Host")) == (path, subscriber.address)


def test_a_delivery_says_what_it_is(caller: Caller, subscribe: Subscribe) -> None:
    """Each delivery carries the event's id, the attempt, its time, the topic and who sends it."""
    subscriber = subscribe()
    event = caller.publish(topic="orders.created")
    request = one(subscriber)
    assert request.id == event
    assert request.header("Eventbus-Attempt") == "1"
    assert request.header("Eventbus-Topic") == "orders.created"
    assert request.header("Accept-Encoding") == "identity"
    assert re.fullmatch(r"eventbus/\d+(\.\d+)+\S*", request.header("User-Agent") or "")
    sent = int(request.header("Webhook-Timestamp") or "")
    assert abs(datetime.now(UTC).timestamp() - sent) < 60


def test_kept_headers_arrive_unchanged(caller: Caller, subscribe: Subscribe) -> None:
    """CloudEvents and trace headers and what describes the body are sent on as they were."""
    subscriber = subscribe()
    caller.publish(b"{}", *KEPT)
    request = one(subscriber)
    assert {name: request.header(name) for name, _ in KEPT} == dict(KEPT)
    assert request.header("Eventbus-Topic") == "orders.created"


def test_nothing_else_is_told_of_the_publisher(caller: Caller, subscribe: Subscribe) -> None:
    """Cookies, credentials and every other header of the publisher stay with the bus."""
    subscriber = subscribe()
    caller.publish(b"{}", *NOT_KEPT)
    request = one(subscriber)
    names = {name.lower() for name, _ in request.headers}
    assert names >= OWN_HEADERS
    assert names <= OWN_HEADERS | {"eventbus-topic", "connection", "accept", "content-type"}
    assert not {value for _, value in request.headers} & {value for _, value in NOT_KEPT}


def test_the_topic_in_the_query_wins_over_ce_type(caller: Caller, subscribe: Subscribe) -> None:
    """``ce-type`` is the topic only where the query has none."""
    subscriber = subscribe(topic="stock.>")
    caller.publish(b"{}", ("ce-type", "orders.created"), topic="stock.low")
    request = one(subscriber)
    assert (request.header("Eventbus-Topic"), request.header("ce-type")) == ("stock.low", "orders.created")


TOPICS = ("", "orders", "orders.created", "orders.eu.created", "stock.low")


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        ([], set(TOPICS)),
        (["orders.created"], {"orders.created"}),
        (["orders.*"], {"orders.created"}),
        (["orders.>"], {"orders.created", "orders.eu.created"}),
        (["*.*"], {"orders.created", "stock.low"}),
        (["*.eu.*"], {"orders.eu.created"}),
        (["orders", "stock.*"], {"orders", "stock.low"}),
        (["nothing"], set()),
    ],
)
def test_a_subscriber_gets_its_topics(
    caller: Caller, subscribe: Subscribe, patterns: list[str], wanted: set[str]
) -> None:
    """``*`` is one word, ``>`` the rest; an event without a topic goes to who wants everything alone."""
    subscriber = subscribe(topic=patterns)
    events = {caller.publish(topic=topic): topic for topic in TOPICS}
    eventually(lambda: caller.subscriber(subscriber.address)["delivered"] == len(wanted), 30)
    assert caller.subscriber(subscriber.address)["backlog"] == 0
    assert {events[request.id] for request in subscriber.received} == wanted


def test_every_subscriber_gets_every_event(caller: Caller, subscribe: Subscribe) -> None:
    """Each of several subscribers receives each of many events, once where nothing fails."""
    subscribers = [subscribe() for _ in range(5)]
    events = {caller.publish(b"%d" % number) for number in range(100)}
    for subscriber in subscribers:
        subscriber.wait_for_ids(events)
        assert subscriber.counts == dict.fromkeys(events, 1)


def test_registering_takes_effect_at_once(caller: Caller, subscribe: Subscribe) -> None:
    """An event that is accepted after a registration was answered goes to that subscriber."""
    subscriber = subscribe()
    expected = set()
    for number in range(50):
        caller.register(f"{subscriber.address}/n{number}")
        expected.add((f"/n{number}/event", caller.publish()))
    subscriber.wait_for(lambda seen: {(r.path, r.id) for r in seen.received} >= expected)
    assert caller.subscriber(f"{subscriber.address}/n0")["dead"] == 0
