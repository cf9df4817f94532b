"""An inbox takes batches: by a handler of lists, or one event at a time."""

import asyncio
import json
from typing import Any

import pytest

from eventbus.client import Event, Inbox, Reject, Retry, Terms
from eventbus.client.batches import events_in_batch
from eventbus.client.dispatch import InboxResponse
from eventbus.core import model
from eventbus.delivery.transport.batch_request import element_of

NOW = 1_795_000_000.0


def batch_of(*events: model.Event) -> bytes:
    """The body of a batch, as the bus makes it."""
    return b"[" + b",".join(element_of(event).text for event in events) + b"]"


def event_with(number: int, topic: str | None = "orders.created", body: bytes | None = None) -> model.Event:
    """An event whose id and body are a number."""
    head = b"Content-Type: application/json\r\n"
    return model.Event(number, f"id-{number}", topic, head, b"[%d]" % number if body is None else body, NOW, "")


def send(inbox: Inbox, *events: model.Event) -> InboxResponse:
    """Deliver events in one request."""
    headers = {
        "Content-Type": "application/cloudevents-batch+json",
        "Webhook-Id": "batch_1",
        "Webhook-Timestamp": f"{NOW:.0f}",
        "Eventbus-Attempt": "2",
    }
    return inbox.dispatch("POST", headers, batch_of(*events))


def failed_in(response: InboxResponse) -> Any:
    """The events that the response names."""
    assert response.status == 200
    return json.loads(response.body)["failed"]


@pytest.mark.parametrize("body", [b"", b"[7]", b"\x00\xff", b"text"])
def test_an_event_of_a_batch_is_what_it_is_alone(body: bytes) -> None:
    """Id, topic, key and body of an event are the same from a batch."""
    event = event_with(7, body=body)._replace(key="a")
    (found,) = events_in_batch({"eventbus-attempt": "3"}, batch_of(event), NOW)
    assert (found.id, found.topic, found.body, found.attempt, found.key) == ("id-7", event.topic, body, 3, "a")
    assert found.content_type == "application/json"


def test_a_cloud_event_of_a_batch_keeps_its_attributes() -> None:
    """A CloudEvent has the bus's id, and its own among its attributes."""
    head = b"Content-Type: application/json\r\nce-id: 7\r\nce-source: /shop\r\nce-type: made\r\n"
    (found,) = events_in_batch({}, batch_of(event_with(7)._replace(head=head)), NOW)
    assert (found.id, found.topic, found.data) == ("id-7", "orders.created", [7])
    assert (found.attributes["id"], found.attributes["type"]) == ("7", "made")


def test_an_event_without_a_topic_has_none_in_a_batch() -> None:
    """What stands for no topic in a batch is none."""
    found = events_in_batch({}, batch_of(event_with(1, topic=None), event_with(2, topic="eventbus/event")), NOW)
    assert [event.topic for event in found] == [None, "eventbus/event"]


def test_a_handler_of_lists_gets_all_that_it_wants() -> None:
    """Events of one request whose topics match come in one call, and are handled by it."""
    inbox, lists = Inbox(), list[list[str]]()

    @inbox.on_batch("orders.*")
    def take(events: list[Event]) -> None:
        lists.append([event.id for event in events])

    response = send(inbox, event_with(1), event_with(2, "stock.low"), event_with(3))
    assert (response.status, lists) == (200, [["id-1", "id-3"]])
    assert send(inbox, event_with(1), event_with(3), event_with(4)).status == 200
    assert lists[1:] == [["id-4"]], "handled before"
    assert inbox.topics == ("orders.*",)


def test_a_handler_of_lists_may_answer_for_each() -> None:
    """A list of results is one for each event: those that fail are named, and the others are handled."""
    inbox, calls = Inbox(), list[int]()

    @inbox.on_batch()
    def take(events: list[Event]) -> list[object]:
        calls.append(len(events))
        return [None, Reject("unknown"), Retry(after=7), Retry()][: len(events)]

    response = send(inbox, *map(event_with, (1, 2, 3, 4)))
    assert failed_in(response) == [
        {"id": "id-2", "reject": "unknown"},
        {"id": "id-3", "retry_after": 7},
        {"id": "id-4"},
    ]
    assert send(inbox, event_with(1)).status == 200
    assert calls == [4], "the first one was handled"


def test_what_fails_together_is_answered_as_one() -> None:
    """An error for all events is the response to the request, so that the bus sends them in halves."""
    inbox = Inbox()

    @inbox.on_batch("a")
    def take(_: list[Event]) -> list[object]:
        return []

    @inbox.on_batch("b")
    def fail(_: list[Event]) -> None:
        raise Reject("no")

    assert send(inbox, event_with(1, "b"), event_with(2, "b")).status == 422
    assert send(inbox, event_with(1, "a"), event_with(2, "a")).status == 500
    response = send(inbox, event_with(1, "a"), event_with(2, "b"), event_with(3, "c"))
    assert [one["id"] for one in failed_in(response)] == ["id-1", "id-2"]


def test_single_handlers_get_a_batch_one_by_one() -> None:
    """An inbox without a handler of lists takes a batch apart, and names the events that failed."""
    inbox, handled = Inbox(), list[Any]()

    @inbox.on("orders.*")
    def take(event: Event) -> None:
        if event.data == [2]:
            raise Reject("bad")
        handled.append((event.data, event.attempt))

    assert failed_in(send(inbox, *map(event_with, (1, 2, 3)))) == [{"id": "id-2", "reject": "bad"}]
    assert handled == [([1], 2), ([3], 2)]


def keyed_events() -> list[model.Event]:
    """Events 1 to 5, of which 2 and 3 have a key, and 5 another one."""
    return [event_with(number)._replace(key=key) for number, key in enumerate(["", "k", "k", "", "l"], 1)]


@pytest.mark.parametrize(
    ("ordered", "handled"), [(False, [1, 3, 4, 5]), (None, [1, 3, 4, 5]), ("key", [1, 4, 5]), (True, [1])]
)
def test_an_event_that_fails_stops_those_behind_it(ordered: bool | str | None, handled: list[int]) -> None:
    """One by one, what is behind a failed event in its order is not handled, and is named as failed, too."""
    inbox, found = Inbox(terms=Terms(ordered=ordered)), list[int]()

    @inbox.on()
    def take(event: Event) -> None:
        if event.data == [2]:
            raise Retry(after=7)
        found.append(event.data[0])

    failed = failed_in(send(inbox, *keyed_events()))
    assert found == handled
    assert failed == [
        {"id": "id-2", "retry_after": 7},
        *({"id": f"id-{number}"} for number in range(3, 6) if number not in handled),
    ]


def test_a_rejected_event_stops_nothing() -> None:
    """A dead letter lets those behind it go on, also in order."""
    inbox, found = Inbox(terms=Terms(ordered=True)), list[int]()

    @inbox.on()
    def take(event: Event) -> None:
        found.append(event.data[0])
        if event.data == [2]:
            raise Reject("no")

    assert [one["id"] for one in failed_in(send(inbox, *keyed_events()))] == ["id-2"]
    assert found == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("ordered", "calls"), [(False, [[1, 3], [2]]), ("key", [[1], [2], [3]])])
def test_a_list_in_order_has_events_that_follow_one_another(ordered: bool | str, calls: list[list[int]]) -> None:
    """Between events of two handlers a handler of lists is called twice, where events are in order."""
    inbox, found = Inbox(terms=Terms(ordered=ordered)), list[list[int]]()

    @inbox.on_batch("a")
    @inbox.on_batch("b")
    def take(events: list[Event]) -> None:
        found.append([event.data[0] for event in events])

    assert send(inbox, event_with(1, "a"), event_with(2, "b"), event_with(3, "a")).status == 200
    assert found == calls


def test_one_event_alone_is_a_list_too() -> None:
    """A handler of lists gets an event that came by itself as a list of one."""
    inbox, lists = Inbox(), list[list[Event]]()
    inbox.on_batch()(lists.append)
    assert inbox.dispatch("POST", {"Webhook-Id": "1"}, b"x").status == 200
    assert [[event.body for event in one] for one in lists] == [[b"x"]]


def test_async_handlers_take_batches() -> None:
    """Under asyncio both kinds of handlers take a batch."""
    inbox, handled = Inbox(), list[int]()

    @inbox.on_batch("a")
    async def take(events: list[Event]) -> list[object]:
        handled.extend(event.data[0] for event in events)
        return [Retry() for _ in events]

    @inbox.on("b")
    def one(event: Event) -> None:
        handled.append(event.data[0])

    headers = {"Content-Type": "application/cloudevents-batch+json", "Webhook-Id": "1"}
    body = batch_of(event_with(1, "a"), event_with(2, "b"), event_with(3, "a"))
    response = asyncio.run(inbox.dispatch_async("POST", headers, body))
    assert [entry["id"] for entry in failed_in(response)] == ["id-1", "id-3"]
    assert handled == [1, 3, 2]


@pytest.mark.parametrize("body", [b"{", b"{}", b"[1]", b'[{"id": 1}]', b"\xff"])
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    """A body that is no batch is 400, a dead letter, as any delivery that is none."""
    headers = {"Content-Type": "application/cloudevents-batch+json", "Webhook-Id": "1"}
    assert Inbox().dispatch("POST", headers, body).status == 400


def test_a_closed_inbox_refuses_a_batch() -> None:
    """A service that is stopping has all of a batch delivered again."""
    inbox = Inbox()
    inbox.on()(lambda _: None)
    inbox.refuse()
    assert send(inbox, event_with(1), event_with(2)).status == 503
