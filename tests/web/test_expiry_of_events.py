"""How a publisher says when an event expires, and where that is shown."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import seconds_of
from eventbus.core.event_expiry import expires_at
from eventbus.core.model import Event, Terms
from tests.support.deadline import eventually
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

HERE = "127.0.0.1:8001"
JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
STRUCTURED = {**JSON, "Content-Type": "application/cloudevents+json"}
BATCH = {**JSON, "Content-Type": "application/cloudevents-batch+json"}
LATER, PAST = "2099-01-31T12:00:00+01:00", "2000-01-31T12:00:00Z"


@pytest.fixture
def node() -> Iterator[InProcessNode]:
    """A bus."""
    with in_process_nodes("here") as (here,):
        yield here


def cloud_event(**attributes: str) -> dict[str, str]:
    """A structured CloudEvent."""
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": "a", **attributes}


def published(node: InProcessNode, target: str, headers: dict[str, str], body: Any = None) -> list[Event]:
    """Publish, and return what is in the journal."""
    data = b"{}\n{}" if body is None else json.dumps(body).encode()
    answer = node.ask("POST", f"/sendMessage{target}", headers, data)
    assert answer.status_code == 200, answer.text
    payload = answer.json
    found = [node.bus.journal.event(each) for each in payload.get("ids") or [payload["id"]]]
    return [event for event in found if event is not None]


@pytest.mark.parametrize(
    ("target", "headers", "body"),
    [
        ("?expires=60", JSON, None),
        ("?expires=60&batch=lines", JSON, None),
        ("?expires=60", STRUCTURED, cloud_event()),
        ("?expires=60", BATCH, [cloud_event(), cloud_event()]),
    ],
)
def test_seconds_count_from_acceptance(node: InProcessNode, target: str, headers: dict[str, str], body: Any) -> None:
    """For each event of a batch, too."""
    events = published(node, target, headers, body)
    assert all(abs(expires_at(event.head) - event.accepted_at - 60) < 0.002 for event in events)
    assert len({event.headers["ce-expirytime"] for event in events}) == 1


def test_of_a_scheduled_event_they_count_from_when_it_is_due(node: InProcessNode) -> None:
    """So it lives as long as any, once it has entered the journal."""
    answer = node.ask("POST", "/sendMessage?expires=60&delay=3600", JSON, b"{}").json
    shown = node.ask("GET", f"/events/{answer['id']}", JSON).json
    due, expires = (seconds_of(shown[name]) for name in ("scheduled_for", "expires_at"))
    assert (due, expires) == (seconds_of(answer["scheduled_for"]), due + 60)


@pytest.mark.parametrize(
    ("target", "headers", "body"),
    [
        ("", {**JSON, "ce-expirytime": LATER}, None),
        ("?expires=60", {**JSON, "ce-expirytime": LATER}, None),
        ("?batch=lines", {**JSON, "ce-expirytime": LATER}, None),
        ("?expires=60", STRUCTURED, cloud_event(expirytime=LATER)),
        ("", {**STRUCTURED, "ce-expirytime": PAST}, cloud_event(expirytime=LATER)),
        ("?expires=60", BATCH, [cloud_event(expirytime=LATER)]),
    ],
)
def test_an_events_own_time_counts(node: InProcessNode, target: str, headers: dict[str, str], body: Any) -> None:
    """In binary, structured and batch mode, and before what the query says; it is kept as it was written."""
    events = published(node, target, headers, body)
    assert {event.headers["ce-expirytime"] for event in events} == {LATER}


@pytest.mark.parametrize(
    ("target", "headers", "body", "said"),
    [
        ("?expires=0", JSON, {}, "expires must be a number of seconds from 0.1 to 31622400 (366 days), not '0'."),
        ("?expires=31622401", JSON, {}, "expires must be a number of seconds from 0.1"),
        ("?expires=5m&batch=lines", JSON, {}, "expires must be a number of seconds from 0.1"),
        ("", {**JSON, "ce-expirytime": "soon"}, {}, "The event has an expirytime that is not RFC 3339: 'soon'."),
        ("", STRUCTURED, cloud_event(expirytime="1"), "The event has an expirytime that is not RFC 3339: '1'."),
        ("", STRUCTURED, {**cloud_event(), "expirytime": 1}, "The event has an expirytime that is not a string."),
        ("", BATCH, [cloud_event(), cloud_event(expirytime="1")], "Event 1 of the batch has an expirytime that is not"),
    ],
)
def test_a_wrong_one_is_refused(
    node: InProcessNode, target: str, headers: dict[str, str], body: Any, said: str
) -> None:
    """The error says what is wrong, and what is allowed; nothing is kept."""
    answer = node.ask("POST", f"/sendMessage{target}", headers, json.dumps(body).encode())
    assert (answer.status_code, said in answer.json["detail"]) == (400, True), answer.text
    assert node.bus.dispatcher.recent.newest == 0


def test_it_is_shown_wherever_the_event_is(node: InProcessNode) -> None:
    """In its JSON, in lists, and on its page; null, where it does not expire."""
    (event,) = published(node, "", {**JSON, "ce-expirytime": LATER}, {})
    (other,) = published(node, "", JSON, {})
    assert node.ask("GET", f"/events/{event.id}", JSON).json["expires_at"] == LATER
    shown = [each["expires_at"] for each in node.ask("GET", "/events", JSON).json["events"]]
    assert shown == [LATER, None]
    assert "<dt>Expires</dt>" in node.ask("GET", f"/dashboard/event?id={event.id}", HTML).text
    assert "<dt>Expires</dt>" not in node.ask("GET", f"/dashboard/event?id={other.id}", HTML).text


def test_a_past_time_is_accepted_and_the_event_is_dead_at_once(node: InProcessNode) -> None:
    """Its dead letter says that it was not attempted, a replay of all that it was left; one by its id is attempted."""
    node.bus.register(parse_address(HERE), Terms())
    published(node, "", {**JSON, "ce-expirytime": PAST}, {})
    eventually(lambda: node.bus.dispatcher.lanes[HERE].dead == 1, 20)
    (letter,) = node.ask("GET", "/deadLetters", JSON).json["dead_letters"]
    assert (letter["reason"], letter["attempts"], letter["first_attempt_at"]) == ("expired", 0, None)
    assert "eventbus_deliveries_expired_total 1.0" in node.ask("GET", "/metrics").text
    left = node.ask("POST", "/deadLetters/replay?all=true", JSON).json
    assert left == {"replayed": 0, "expired": 1, "replay": None, "outcome": None}
    put_back = node.ask("POST", f"/deadLetters/replay?id={letter['id']}", JSON).json
    assert (put_back["replayed"], put_back["expired"]) == (1, 0)
    eventually(lambda: node.bus.dispatcher.lanes[HERE].dead == 1, 20)
    (again,) = node.ask("GET", "/deadLetters", JSON).json["dead_letters"]
    assert (again["reason"], again["attempts"]) == ("rejected", 1)  # by the subscriber, which refuses all


def test_a_publish_that_waits_is_told_that_its_event_has_expired(node: InProcessNode) -> None:
    """It is dead, and was not attempted."""
    node.bus.register(parse_address(HERE), Terms())
    answer = node.ask("POST", "/sendMessage?settle=20", {**JSON, "ce-expirytime": PAST}, b"{}").json
    assert (answer["dead"], answer["pending"]) == (1, 0)
    assert (answer["subscriptions"][0]["state"], answer["subscriptions"][0]["status"]) == ("dead", None)


def test_a_repetition_asks_for_the_same_expiry(node: InProcessNode) -> None:
    """It is the first event again; with another expiry it is refused."""
    key = {**JSON, "Idempotency-Key": "k"}
    first = node.ask("POST", "/sendMessage?expires=60", key, b"{}").json
    again = node.ask("POST", "/sendMessage?expires=60", key, b"{}").json
    assert (again["id"], again["duplicate"]) == (first["id"], True)
    assert node.ask("POST", "/sendMessage?expires=61", key, b"{}").status_code == 422
    assert node.ask("POST", "/sendMessage", key, b"{}").status_code == 422
