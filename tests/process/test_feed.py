"""``GET /events``: the journal in pages, oldest first, and a long poll that waits for what comes."""

import time
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.answers import assert_problem
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.server import BusServer


@pytest.fixture
def caller(own_bus: BusServer) -> Caller:
    """Publishes to it."""
    return Caller(own_bus.port)


@pytest.fixture
def repair(own_bus: BusServer) -> RepairClient:
    """Reads from it."""
    return RepairClient(own_bus.port)


def pages(repair: RepairClient, **query: Any) -> list[list[str]]:
    """All pages from the start on, as ids, each going on where the one before ended."""
    found = []
    page = repair.answer("GET", "/events", **query)
    while page["events"]:
        found.append([event["id"] for event in page["events"]])
        page = repair.answer("GET", "/events", **(query | {"after": page["next"]}))
    return found


def test_the_journal_comes_in_pages(caller: Caller, repair: RepairClient) -> None:
    """``after`` goes on behind an event and ``limit`` bounds a page: no event is left out or told twice."""
    ids = [caller.publish(b"%d" % number) for number in range(25)]
    found = pages(repair, limit=10)
    assert [len(page) for page in found] == [10, 10, 5]
    assert [event for page in found for event in page] == ids
    assert repair.answer("GET", "/events", after=ids[-1]) == {"events": [], "next": None}


def test_paging_from_now_on_misses_nothing(caller: Caller, repair: RepairClient) -> None:
    """``after=now`` answers where now is, so that the following page has what was published in between."""
    newest = caller.publish()
    assert repair.answer("GET", "/events", after="now") == {"events": [], "next": newest}
    later = caller.publish()
    assert pages(repair, after=newest) == [[later]]


def test_an_event_is_told_whole(caller: Caller, repair: RepairClient) -> None:
    """An event tells its id, topic, time, headers and body: as text where it is text, else as Base64."""
    first = caller.publish("caf\xe9".encode(), ("Content-Type", "text/plain"), topic="a.b")
    second = caller.publish(b"\xff\x00")
    text, binary = repair.events()
    assert text.pop("accepted_at") <= binary.pop("accepted_at")
    assert text == {
        "id": first,
        "topic": "a.b",
        "key": None,
        "publisher": None,
        "expires_at": None,
        "headers": {"Content-Type": "text/plain"},
        "body": {"text": "caf\xe9"},
    }
    told = {"id": second, "topic": None, "key": None, "publisher": None, "expires_at": None}
    assert binary == told | {"headers": {}, "body": {"base64": "/wA="}}


def test_pages_go_by_topic(caller: Caller, repair: RepairClient) -> None:
    """``topic``, which may repeat, chooses events as subscribers do."""
    topics = ["a.x", "b.x", "a.y", "", "c.x"] * 5
    ids = [caller.publish(topic=topic) for topic in topics]
    wanted = [event for event, topic in zip(ids, topics, strict=True) if topic.startswith(("a.", "b."))]
    assert [event for page in pages(repair, topic=["a.*", "b.>"], limit=4) for event in page] == wanted


def test_pages_outlive_a_restart(own_bus: BusServer, caller: Caller, repair: RepairClient) -> None:
    """After ``kill -9`` the pages are the same."""
    for number in range(30):
        caller.publish(b"%d" % number)
    before = repair.events()
    own_bus.kill()
    own_bus.start()
    assert repair.events() == before


def test_a_long_poll_wakes_when_something_comes(caller: Caller, repair: RepairClient) -> None:
    """A request that waits is answered as soon as an event comes, long before its time is over."""
    first = caller.publish()
    polls = [gevent.spawn(repair.events, after=first, wait=60) for _ in range(20)]
    eventually(lambda: all(poll.started for poll in polls), 10)
    began = time.monotonic()
    second = caller.publish()
    gevent.joinall(polls, timeout=30, raise_error=True)
    assert [[event["id"] for event in poll.value] for poll in polls] == [[second]] * 20
    assert time.monotonic() - began < 30


def test_a_long_poll_waits_for_its_topic(caller: Caller, repair: RepairClient) -> None:
    """An event of another topic does not end the wait."""
    first = caller.publish()
    poll = gevent.spawn(repair.events, after=first, wait=60, topic="wanted")
    for _ in range(5):
        caller.publish(topic="other")
    assert not poll.dead
    event = caller.publish(topic="wanted")
    poll.join(30)
    assert [found["id"] for found in poll.get()] == [event]


def test_a_long_poll_ends_with_its_time(caller: Caller, repair: RepairClient) -> None:
    """When nothing comes, the answer is an empty page once the time is over."""
    event = caller.publish()
    began = time.monotonic()
    assert repair.answer("GET", "/events", after=event, wait=1) == {"events": [], "next": None}
    assert 0.9 <= time.monotonic() - began < 20


def test_a_poll_that_has_something_does_not_wait(caller: Caller, repair: RepairClient) -> None:
    """What is there is answered at once, however long the client would wait."""
    event = caller.publish()
    began = time.monotonic()
    assert [found["id"] for found in repair.events(wait=60)] == [event]
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": 0}, 400),
        ({"limit": 1_001}, 400),
        ({"limit": "x"}, 400),
        ({"wait": 61}, 400),
        ({"wait": "long"}, 400),
        ({"topic": "a..b"}, 400),
        ({"topic": ">.a"}, 400),
    ],
)
def test_a_page_that_cannot_be_is_refused(repair: RepairClient, query: dict[str, Any], status: int) -> None:
    """A page that cannot be is refused with a sentence."""
    assert_problem(repair.ask("GET", "/events", **query), status)


@pytest.mark.parametrize("after", ["nothing-of-that-name", "100", "caf\xe9", "2026-02-30T00:00:00Z", "x" * 2_000])
def test_a_foreign_id_begins_with_the_oldest(caller: Caller, repair: RepairClient, after: str) -> None:
    """Who goes on after an id that the bus never gave gets what is there, and is told so."""
    event = caller.publish()
    answer = repair.ask("GET", "/events", after=after)
    assert (answer.status, answer.header("Eventbus-Resumed")) == (200, "earliest")
    assert [found["id"] for found in answer.json()["events"]] == [event]
    assert repair.ask("GET", "/events", after=event).header("Eventbus-Resumed") is None


def test_a_place_is_named_as_elsewhere(caller: Caller, repair: RepairClient) -> None:
    """``after`` takes ``earliest``, ``now`` and a time, as ``from`` does."""
    event = caller.publish()
    places = ("earliest", "now", "2026-01-01T00:00:00Z", "9999-01-01T00:00:00Z")
    found = [repair.events(after=place) for place in places]
    assert [[told["id"] for told in page] for page in found] == [[event], [], [event], []]


def test_a_reader_goes_on_though_its_event_is_gone(tmp_path: Path) -> None:
    """Who was away for longer than the retention goes on by the time in the id of the last event it saw."""
    with BusServer(tmp_path, {"EVENTBUS_RETENTION_SECONDS": "1"}) as bus:
        caller, repair = Caller(bus.port), RepairClient(bus.port)
        seen = caller.publish()
        eventually(lambda: repair.ask("GET", f"/events/{seen}").status == 404, 30)
        event = caller.publish()
        assert [found["id"] for found in repair.events(after=seen)] == [event]
        assert repair.ask("GET", "/events", after=seen).header("Eventbus-Resumed") == "time"
