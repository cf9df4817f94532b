"""A fake bus delivers in batches to an inbox that asks for them, and makes them as the bus does."""

import base64
import json
from datetime import UTC, datetime

import pytest

from eventbus.client import Event, Inbox, Reject, Retry, Terms, Verifier
from eventbus.client.batches import events_in_batch
from eventbus.core import model
from eventbus.delivery.transport import batch_request
from eventbus.testing import FakeBus, batches, deliver_many
from tests.support.lanes import EPOCH

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def inbox_of(bus: FakeBus, batch: int = 3, *, ordered: bool = False) -> Inbox:
    """An inbox that the bus delivers to in batches."""
    inbox = Inbox(terms=Terms(batch=batch, ordered=ordered), verifier=Verifier(SECRET))
    bus.deliver_to(inbox)
    return inbox


def test_a_handler_of_lists_gets_what_is_published_together() -> None:
    """Events of one ``publish_many`` come in lists, so many at a time, and one alone is a list of one."""
    bus, lists = FakeBus(), list[list[int]]()

    @inbox_of(bus).on_batch("orders.*")
    def take(events: list[Event]) -> None:
        lists.append([event.data["order"] for event in events])

    bus.publish_many("orders.created", [{"order": number} for number in range(5)])
    bus.publish_many("stock.low", [{}, {}])
    bus.publish("orders.created", {"order": 7}, order_by="customer-1")
    assert lists == [[0, 1, 2], [3, 4], [7]]


def test_each_event_has_a_response() -> None:
    """What a handler of lists returns for each event is the response to it."""
    bus = FakeBus()

    @inbox_of(bus).on_batch()
    def take(events: list[Event]) -> list[object]:
        return [None, Reject("no order"), Retry(after=7)]

    ids = bus.publish_many("a", [1, 2, 3])
    assert [event.id for event, _ in bus.answers] == ids
    assert [response.status for _, response in bus.answers] == [200, 422, 503]
    assert (bus.answers[1][1].body, bus.answers[2][1].headers["Retry-After"]) == (b"no order", "7")


def test_what_is_rejected_together_comes_in_halves() -> None:
    """An event that has all of its batch rejected is the only one in the end."""
    bus, lists = FakeBus(), list[list[int]]()

    @inbox_of(bus, batch=10).on_batch()
    def take(events: list[Event]) -> None:
        lists.append([event.data for event in events])
        if 3 in lists[-1]:
            raise Reject("it is three")

    bus.publish_many("a", range(5))
    assert lists == [[0, 1, 2, 3, 4], [0, 1, 2], [3, 4], [3], [4]]
    assert [response.status for _, response in bus.answers] == [200, 200, 200, 422, 200]


def test_other_handlers_get_the_events_of_a_batch_one_by_one() -> None:
    """An inbox that asks for batches need not have a handler of lists, and stops at a failed event if it is ordered."""
    bus, handled = FakeBus(), list[int]()

    @inbox_of(bus, ordered=True).on()
    def take(event: Event) -> None:
        handled.append(event.data)
        if event.data == 1:
            raise Retry

    bus.publish_many("a", range(3))
    assert handled == [0, 1]
    assert [response.status for _, response in bus.answers] == [200, 503, 503]


def test_several_events_may_be_delivered_without_a_bus() -> None:
    """``deliver_many`` is one request, signed as the inbox wants it."""
    inbox, found = Inbox(verifier=Verifier(SECRET)), list[tuple[object, int]]()

    @inbox.on_batch()
    def take(events: list[Event]) -> list[object]:
        found.extend((event.data, event.attempt) for event in events)
        return [None, Reject("no")]

    response = deliver_many(inbox, "a", [{"n": 1}, b'{"n": 2}'], attempt=2)
    assert (response.status, found) == (200, [({"n": 1}, 2), ({"n": 2}, 2)])
    assert json.loads(response.body)["failed"][0]["reject"] == "no"


JSON_HEAD = b"Content-Type: application/json\r\n"
EVENTS = [
    model.Event(1, "id-1", "orders.created", JSON_HEAD, b'{"order": 42}', EPOCH, ""),
    model.Event(2, "id-2", None, b"", b"[1]", EPOCH, "customer-1"),
    model.Event(3, "id-3", "a", b"", b"7", EPOCH, ""),
    model.Event(4, "id-4", "a", JSON_HEAD, b"{", EPOCH, ""),
    model.Event(5, "id-5", "a", b"", b"", EPOCH, ""),
    model.Event(6, "id-6", "eventbus/event", b"Content-Type: text/plain\r\n", b"text", EPOCH, ""),
    model.Event(7, "id-7", "a", JSON_HEAD + b"Content-Encoding: gzip\r\n", b"\x1f\x8b", EPOCH, ""),
    model.Event(
        8, "id-8", "a", JSON_HEAD + b"ce-id: 9\r\nce-source: /shop\r\nce-type: made\r\nce-specversion: 1.0\r\n",
        b"{}", EPOCH, "k",
    ),
    model.Event(
        9, "id-9", "made", b"Content-Type: application/cloudevents+json\r\n",
        b'{"specversion":"1.0","id":"9","source":"/shop","type":"made","data":[1]}', EPOCH, "",
    ),
    model.Event(10, "id-10", "a", b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7-01\r\n", b"1", EPOCH, ""),
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.id)
def test_a_batch_is_made_as_the_bus_makes_it(event: model.Event) -> None:
    """What the fake sends of an event is, to the attribute, what the bus sends of it."""
    headers = {name.lower(): value for name, value in event.headers.items()}
    mine = Event(event.id, event.topic, event.body, headers, datetime.fromtimestamp(EPOCH, UTC), key=event.key or None)
    made = batches.element_of(mine)
    assert made == json.loads(batch_request.element_of(event).text)
    (read,) = events_in_batch({}, json.dumps([made]).encode(), EPOCH)
    assert (read.id, read.topic, read.key) == (event.id, event.topic, event.key or None)
