"""A subscriber with ``batch`` gets several events in one request, and answers for each or for all."""

import json
from pathlib import Path
from typing import Any

from tests.support.accounts import account, settled
from tests.support.batches import publish_lines
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.repair import RepairClient
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Respond, Subscribe


def events_in(request: Received) -> list[dict[str, Any]]:
    """The events of a batch."""
    assert request.header("Content-Type") == "application/cloudevents-batch+json"
    found: list[dict[str, Any]] = json.loads(request.body)
    assert request.header("Eventbus-Batch") == str(len(found))
    return found


def ids_in(subscriber: RecordingSubscriber) -> list[list[str]]:
    """The ids of each request, as they came."""
    return [[event["id"] for event in events_in(request)] for request in subscriber.received]


def lines(count: int) -> bytes:
    """So many events as the lines of a batch."""
    return b"\n".join(b'{"number": %d}' % number for number in range(count))


def poison(number: int) -> Respond:
    """Reject each batch with this event."""

    def respond(request: Received) -> Answer:
        poisoned = any(event["data"]["number"] == number for event in events_in(request))
        return (422 if poisoned else 200), (), b"poison"

    return respond


def test_events_come_in_batches(caller: Caller, subscribe: Subscribe) -> None:
    """What is published together comes together, as CloudEvents, up to the number that was asked for."""
    subscriber = subscribe(batch=40)
    ids = publish_lines(caller, lines(100), topic="orders.created").json()["ids"]
    eventually(settled(caller, subscriber.address, accepted=100, delivered=100), 30)
    found = [event for request in subscriber.received for event in events_in(request)]
    assert sorted(event["id"] for event in found) == sorted(ids)
    assert {(event["type"], event["datacontenttype"]) for event in found} == {("orders.created", "application/json")}
    assert sorted(event["data"]["number"] for event in found) == list(range(100))
    assert max(map(len, ids_in(subscriber))) == 40
    assert {request.header("Eventbus-Attempt") for request in subscriber.received} == {"1"}


def test_a_poisonous_event_ends_alone(caller: Caller, subscribe: Subscribe) -> None:
    """Of a batch that is answered 4xx one event is a dead letter, and all others are delivered."""
    subscriber = subscribe(poison(57), batch=100)
    ids = publish_lines(caller, lines(100)).json()["ids"]
    eventually(settled(caller, subscriber.address, accepted=100, delivered=99, dead=1), 30)
    (letter,) = caller.call("GET", f"/deadLetters?address={subscriber.address}").json()["dead_letters"]
    assert (letter["event"], letter["reason"]) == (ids[57], "rejected")
    assert len(subscriber.received) < 20


def test_events_fail_by_themselves(caller: Caller, subscribe: Subscribe) -> None:
    """Of a batch that is answered 200 the events that the body names fail, and the others are delivered."""

    def respond(request: Received) -> Answer:
        failed: list[dict[str, Any]] = []
        for event in events_in(request):
            if event["data"]["number"] == 3:
                failed.append({"id": event["id"], "reject": "no such order"})
            elif event["data"]["number"] == 5 and len(subscriber.received) == 1:
                failed.append({"id": event["id"], "retry_after": 1})
        return 200, [("Content-Type", "application/json")], json.dumps({"failed": failed}).encode() if failed else b""

    subscriber = subscribe(respond, batch=100)
    ids = publish_lines(caller, lines(10)).json()["ids"]
    eventually(settled(caller, subscriber.address, accepted=10, delivered=9, dead=1), 30)
    assert ids_in(subscriber) == [ids, [ids[5]]]
    assert subscriber.received[1].header("Eventbus-Attempt") == "2"
    assert subscriber.received[1].at - subscriber.received[0].at >= 1.0
    (letter,) = caller.call("GET", f"/deadLetters?address={subscriber.address}").json()["dead_letters"]
    assert (letter["event"], letter["reason"]) == (ids[3], "rejected")


def test_a_batch_waits_for_more(caller: Caller, subscribe: Subscribe) -> None:
    """With ``batch_wait`` events that are published one by one come together, once the batch is full."""
    subscriber = subscribe(batch=3, batch_wait=5)
    ids = [caller.publish(b"{}") for _ in range(3)]
    eventually(settled(caller, subscriber.address, accepted=3, delivered=3), 30)
    assert ids_in(subscriber) == [ids]


def test_an_ordered_subscriber_gets_batches_in_order(caller: Caller, subscribe: Subscribe) -> None:
    """With ``ordered=true`` a batch that fails stops those behind it, and each event comes after the one before it."""
    failing = [2, 5]

    def respond(_: Received) -> Answer:
        return (500 if len(subscriber.received) in failing else 200), (), b""

    subscriber = subscribe(respond, batch=10, ordered=True)
    ids = publish_lines(caller, lines(60)).json()["ids"]
    eventually(settled(caller, subscriber.address, accepted=60, delivered=60), 60)
    taken = [each for number, each in enumerate(ids_in(subscriber), 1) if number not in failing]
    assert [event for each in taken for event in each] == ids


def test_large_events_make_small_batches(caller: Caller, subscribe: Subscribe) -> None:
    """No batch of several events has more than 1 MiB."""
    subscriber = subscribe(batch=1_000)
    for _ in range(40):
        caller.publish(b'"%s"' % (b"x" * 60_000), ("Content-Type", "application/json"))
    eventually(settled(caller, subscriber.address, accepted=40, delivered=40), 30)
    assert max(len(request.body) for request in subscriber.received) <= 1_048_576


def test_a_batch_goes_to_one_member_of_a_group(caller: Caller) -> None:
    """Each event of a group comes once, to a member in a batch or by itself, as the member has asked."""
    with RecordingSubscriber() as batched, RecordingSubscriber() as single:
        caller.register(batched.address, group="mailer", batch=10)
        caller.register(single.address, group="mailer")
        ids = publish_lines(caller, lines(300)).json()["ids"]
        eventually(lambda: sum(map(len, ids_in(batched))) + len(single.received) >= 300, 30)
        found = [event for each in ids_in(batched) for event in each] + [request.id for request in single.received]
        assert sorted(found) == sorted(ids)
        assert single.received
        assert max(map(len, ids_in(batched))) == 10
        caller.call("DELETE", "/deregister?group=mailer")


def test_batches_outlive_kills(tmp_path: Path) -> None:
    """Over kills under load every accepted event is delivered, and the account adds up."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, batch=20, lease=600)
        publisher = Publisher(bus.port, (b"%d" % number for number in range(400)), connections=8).start()
        for kill in (1, 2):
            publisher.wait_accepted(100 * kill)
            bus.kill()
            bus.start()
        accepted = publisher.join().accepted
        eventually(lambda: account(caller, subscriber.address)["pending"] == 0, 60)
        assert set(accepted) <= {event for each in ids_in(subscriber) for event in each}


def test_a_replay_comes_in_batches(caller: Caller, subscribe: Subscribe, bus: BusServer) -> None:
    """A replay is delivered in batches, too."""
    subscriber = subscribe(batch=50)
    ids = publish_lines(caller, lines(100)).json()["ids"]
    eventually(settled(caller, subscriber.address, accepted=100, delivered=100), 30)
    subscriber.received.clear()
    assert RepairClient(bus.port).replay(subscriber.address, ids[0]) == 100
    eventually(settled(caller, subscriber.address, accepted=200, delivered=200), 30)
    assert sorted(event for each in ids_in(subscriber) for event in each) == sorted(ids)
    assert len(subscriber.received) < 20


def test_a_subscriber_may_ask_for_batches_later(caller: Caller, subscribe: Subscribe) -> None:
    """A renewal with ``batch`` holds for the deliveries from then on, and one with ``batch=1`` ends it."""
    subscriber = subscribe()
    first = caller.publish()
    eventually(settled(caller, subscriber.address, delivered=1), 30)
    caller.register(subscriber.address, batch=5)
    second = caller.publish()
    eventually(settled(caller, subscriber.address, delivered=2), 30)
    caller.register(subscriber.address, batch=1)
    third = caller.publish()
    eventually(settled(caller, subscriber.address, delivered=3), 30)
    assert [subscriber.received[0].id, subscriber.received[2].id] == [first, third]
    assert [event["id"] for event in events_in(subscriber.received[1])] == [second]
