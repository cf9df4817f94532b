"""Each accepted event has an id of the bus's own, whatever id its CloudEvent has."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from eventbus.core.event_ids import unix_ms_of
from tests.support.accounts import settled
from tests.support.batches import BATCH, STRUCTURED, array, cloud_event, publish_cloud_events, written
from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.raw_client import Response
from tests.support.repair import RepairClient
from tests.support.server import BusServer
from tests.support.stream import Stream
from tests.support.subscriber import Subscribe

SOURCES = ("/studio", "/lms")


def binary(caller: Caller, target: str = "/sendMessage", **attributes: str) -> Response:
    """Publish a CloudEvent in binary mode."""
    whole = {"specversion": "1.0", "id": "100", "source": "/lms", "type": "a.b"} | attributes
    return caller.call("POST", target, [JSON, *((f"ce-{name}", value) for name, value in whole.items())], b"{}")


def publish_alike(caller: Caller, rounds: int) -> list[str]:
    """Two producers that count from 1, in each mode; the ids that the bus answers, in order."""
    ids = []
    for number in range(rounds):
        for source in SOURCES:
            event = written(cloud_event(id=str(number), source=source))
            ids.append(publish_cloud_events(caller, event, STRUCTURED).json()["id"])
            ids += publish_cloud_events(caller, array([event])).json()["ids"]
            ids.append(binary(caller, id=str(number), source=source).json()["id"])
    return ids


def test_the_bus_gives_the_ids(caller: Caller, subscribe: Subscribe) -> None:
    """Events with the same CloudEvents id have ids of their own on the wire; theirs stay where they were."""
    subscriber = subscribe()
    ids = publish_alike(caller, 1)
    eventually(settled(caller, subscriber.address, accepted=6, delivered=6), 30)
    assert {request.id for request in subscriber.received} == set(ids)
    assert all(unix_ms_of(event) for event in ids)
    theirs = [request.header("ce-id") or json.loads(request.body)["id"] for request in subscriber.received]
    assert theirs == ["0"] * 6


def test_pages_and_streams_pass_no_event_over(own_bus: BusServer) -> None:
    """Pages, and a stream that is resumed after each event, tell all with the same CloudEvents ids, once each."""
    caller, repair = Caller(own_bus.port), RepairClient(own_bus.port)
    ids = publish_alike(caller, 4)
    found, after = [], ""
    while page := repair.answer("GET", "/events", after=after, limit=5)["events"]:
        found += [event["id"] for event in page]
        after = found[-1]
    assert found == ids
    last = ids[0]
    for wanted in ids[1:]:
        with Stream(own_bus.port, last=last) as stream:
            last = stream.events(1)[0]["id"]
        assert last == wanted
        assert repair.event(wanted)["id"] == wanted


@pytest.mark.parametrize(
    ("kind", "topic"),
    [("orders.created", "orders.created"), ("https://example.com/t.", None), ("gel\xf6scht", None), ("a b", None),
     ("com..x", None)],
)  # fmt: skip
def test_a_type_that_is_no_topic_has_none(caller: Caller, subscribe: Subscribe, kind: str, topic: str | None) -> None:
    """In every mode such an event is accepted without a topic, goes to who wants everything, and the answer says so."""
    everything, picky = subscribe(), subscribe(topic="orders.*")
    event = written(cloud_event(type=kind))
    answers = [
        publish_cloud_events(caller, event, STRUCTURED).json(),
        binary(caller, type=kind.encode().decode("latin-1").replace("\xc3\xb6", "%C3%B6").replace(" ", "%20")).json(),
    ]
    assert [answer["topic"] for answer in answers] == [topic] * 2
    batch = publish_cloud_events(caller, array([event])).json()
    assert batch.get("without_topic", 0) == (topic is None)
    eventually(settled(caller, everything.address, accepted=3, delivered=3), 30)
    assert {request.header("Eventbus-Topic") for request in everything.received} == {topic}
    wanted = 0 if topic is None else 3
    eventually(settled(caller, picky.address, accepted=wanted, delivered=wanted), 30)


def test_the_query_gives_a_topic_to_any_type(caller: Caller) -> None:
    """``topic`` names one where the type is none."""
    answer = binary(caller, "/sendMessage?topic=orders.created", type="a..b").json()
    assert answer["topic"] == "orders.created"


def test_an_event_may_be_published_once_by_source_and_id(caller: Caller, subscribe: Subscribe) -> None:
    """With ``once=ce`` the same source and id are one event, in whichever mode; another source is another event."""
    subscriber = subscribe()
    once = "/sendMessage?once=ce"

    def structured(**changes: Any) -> Any:
        event = written(cloud_event(source="/lms", **changes))
        return caller.call("POST", once, [JSON, ("Content-Type", STRUCTURED)], event).json()

    first, again, other = binary(caller, once, id="caf%C3%A9").json(), structured(id="caf\xe9"), structured(id="1")
    assert (again["id"], again["duplicate"]) == (first["id"], True)
    assert (other["duplicate"], binary(caller, once, id="1", source="/x").json()["duplicate"]) == (False, False)
    eventually(settled(caller, subscriber.address, accepted=3, delivered=3), 30)


@pytest.mark.parametrize("kind", ["application/json", BATCH])
def test_once_needs_one_event_with_source_and_id(caller: Caller, kind: str) -> None:
    """``once=ce`` is refused where there is no CloudEvent, or more than one."""
    event = written(cloud_event())
    body = array([event]) if kind == BATCH else event
    answer = caller.call("POST", "/sendMessage?once=ce", [JSON, ("Content-Type", kind)], body)
    assert (answer.status, "once=ce" in answer.json()["detail"]) == (400, True)


def test_a_journal_with_foreign_ids_goes_on(tmp_path: Path) -> None:
    """A journal of the version before, whose events have their CloudEvents' ids, opens, and its events are found."""
    path = tmp_path / "before.db"
    with BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{path}"}) as bus:
        caller, repair = Caller(bus.port), RepairClient(bus.port)
        ids = [caller.publish(b"%d" % number) for number in range(3)]
        assert bus.terminate() == 0
        with sqlite3.connect(path) as db:
            db.execute("UPDATE events SET id = 'com.example/100' WHERE id = ?", (ids[1],))
        db.close()
        bus.start()
        assert repair.event("com.example/100")["body"] == {"text": "1"}
        assert [event["id"] for event in repair.events(after="com.example/100")] == ids[2:]
        with Stream(bus.port, last="com.example/100") as stream:
            assert stream.events(1)[0]["id"] == ids[2]


def test_pages_of_a_journal_in_which_two_events_have_one_id_are_whole(tmp_path: Path) -> None:
    """Page by page, and stream by stream, each event comes once, whichever one a page ends with."""
    path = tmp_path / "before.db"
    with BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{path}"}) as bus:
        ids = [Caller(bus.port).publish(b"%d" % number) for number in range(6)]
        assert bus.terminate() == 0
        with sqlite3.connect(path) as db:
            for event in (ids[1], ids[4]):
                db.execute("UPDATE events SET id = 'com.example/100' WHERE id = ?", (event,))
        db.close()
        bus.start()
        for size in (1, 2, 3):
            bodies: list[str] = []
            after: str | None = "earliest"
            while after is not None and len(bodies) < 10:
                page = RepairClient(bus.port).answer("GET", "/events", after=after, limit=size)
                bodies += [event["body"]["text"] for event in page["events"]]
                after = page["next"]
            assert bodies == list("012345")
        for last, following in ((2, ids[2]), (5, ids[5])):
            with Stream(bus.port, last=f"com.example/100@{last}") as stream:
                assert stream.events(1)[0]["id"] == following
