"""The events of dead letters are published again under the topic that a subscription names."""

from pathlib import Path

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.responders import always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe

DEAD = "orders.dead"
#: Headers that are not a publisher's to give.
FORGED = (("Eventbus-Dead-Event", "x"), ("Eventbus-Dead-Reason", "rejected"), ("ce-type", "orders.created"))


def test_who_subscribes_to_the_topic_gets_what_is_dead(caller: Caller, subscribe: Subscribe) -> None:
    """Body and kept headers come unchanged, and headers say where the event comes from; forged ones are dropped."""
    rejecting = subscribe(always(422), topic="orders.created", dead_to=DEAD)
    taking = subscribe(topic=DEAD)
    event = caller.publish(b"\x00body", *FORGED, topic="orders.created")
    taking.wait_for(1)
    (request,) = taking.received
    assert request.id not in ("", event)
    assert request.body == b"\x00body"
    found = {name: request.header(name) for name in ("ce-type", "Eventbus-Topic")}
    assert found == {"ce-type": "orders.created", "Eventbus-Topic": DEAD}
    parts = {part: request.header(f"Eventbus-Dead-{part}") for part in ("Reason", "Subscriber", "Event", "Topic")}
    assert parts == {
        "Reason": "rejected", "Subscriber": rejecting.address, "Event": event, "Topic": "orders.created",
    }  # fmt: skip
    assert rejecting.received[0].header("Eventbus-Dead-Event") is None
    assert caller.subscriber(rejecting.address)["dead"] == 1


def test_an_option_that_is_no_topic_is_refused(caller: Caller) -> None:
    """A pattern names no topic."""
    response = caller.call("POST", "/registerAndKeepAlive?address=127.0.0.1:9&dead_to=orders.*")
    assert response.status == 400
    assert "dead_to must be a topic of at most 16 words" in response.text


def test_a_kill_publishes_each_dead_letter_once(tmp_path: Path) -> None:
    """Killed amid deaths, the bus publishes each dead letter, and none twice."""
    count = 200
    with (
        RecordingSubscriber(always(422)) as rejecting,
        RecordingSubscriber() as taking,
        BusServer(tmp_path) as bus,
    ):
        caller = Caller(bus.port)
        caller.register(rejecting.address, topic="orders.created", dead_to=DEAD, lease=3_600)
        caller.register(taking.address, topic=DEAD, lease=3_600)
        body = b"\n".join(b"%d" % number for number in range(count))
        caller.call("POST", "/sendMessage?batch=lines&topic=orders.created", body=body)
        eventually(lambda: len(taking.received) > count // 10, 20)
        bus.kill()
        bus.start()
        eventually(lambda: len(_origins(taking)) == count, 30)
        eventually(lambda: caller.subscriber(taking.address)["backlog"] == 0, 20)
        assert len({request.id for request in taking.received}) == count  # an event each, however often it was sent
        assert caller.subscriber(rejecting.address)["dead"] == count


def _origins(taking: RecordingSubscriber) -> set[str | None]:
    """The events that were published again."""
    return {request.header("Eventbus-Dead-Event") for request in taking.received}
