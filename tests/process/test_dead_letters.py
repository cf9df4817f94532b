"""A delivery that will not be attempted again is kept as a dead letter, and says why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import settled
from tests.support.answers import assert_problem
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe


@pytest.fixture
def repair(bus: BusServer) -> RepairClient:
    """Looks into the shared bus."""
    return RepairClient(bus.port)


@pytest.fixture
def rejecting(caller: Caller, subscribe: Subscribe) -> Iterator[RecordingSubscriber]:
    """A subscriber that will take nothing."""
    return subscribe(always(422, b"\xff" * 2_000))


def dead_after(caller: Caller, subscriber: RecordingSubscriber, count: int) -> list[str]:
    """Publish so many events, and wait until all are dead for the subscriber; their ids."""
    ids = [caller.publish(b"%d" % number, topic="orders.created") for number in range(count)]
    eventually(settled(caller, subscriber.address, dead=count), 30)
    return ids


def test_a_rejected_event_is_kept_with_what_was_answered(
    caller: Caller, repair: RepairClient, subscribe: Subscribe
) -> None:
    """A dead letter names event, subscriber, reason, attempts, times, the last status and error."""
    subscriber = subscribe(always(422, b"no such order"))
    (event,) = dead_after(caller, subscriber, 1)
    (letter,) = repair.dead_letters(address=subscriber.address)
    assert (letter["event"], letter["topic"], letter["subscriber"]) == (event, "orders.created", subscriber.address)
    assert (letter["reason"], letter["attempts"], letter["last_status"]) == ("rejected", 1, 422)
    assert letter["last_error"] == "answered 422"
    assert letter["first_attempt_at"] <= letter["last_attempt_at"]
    assert letter["last_answer"] == {"text": "no such order"}


def test_only_the_start_of_an_answer_is_kept(
    caller: Caller, repair: RepairClient, rejecting: RecordingSubscriber
) -> None:
    """The first KiB of the last answer's body is kept, as Base64 where it is no text."""
    dead_after(caller, rejecting, 1)
    (letter,) = repair.dead_letters(address=rejecting.address)
    assert letter["last_answer"] == {"base64": "/" * 1_364 + "/w=="}


def test_dead_letters_come_in_pages(caller: Caller, repair: RepairClient, rejecting: RecordingSubscriber) -> None:
    """``limit`` bounds a page, ``next`` is where the following one begins, and none is left out or told twice."""
    ids = dead_after(caller, rejecting, 7)
    found: list[dict[str, Any]] = []
    after, pages = 0, 0
    while after is not None:
        page = repair.answer("GET", "/deadLetters", address=rejecting.address, after=after, limit=3)
        found += page["dead_letters"]
        after, pages = page["next"], pages + 1
    assert (sorted(letter["event"] for letter in found), pages) == (sorted(ids), 3)
    assert [letter["id"] for letter in found] == sorted({letter["id"] for letter in found})


def test_a_page_of_dead_letters_has_4_mib_at_most(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """However much each takes as JSON, and however many are asked for, ``next`` goes on after what fits."""
    subscriber = subscribe(always(400, b"\x01" * 1_024))
    assert caller.call("POST", "/sendMessage?batch=lines", body=b"x\n" * 1_000).status == 200
    eventually(settled(caller, subscriber.address, dead=1_000), 60)
    found: list[int] = []
    after = 0
    while after is not None:
        answer = repair.ask("GET", f"/deadLetters?limit=1000&after={after}&address={subscriber.address}")
        assert len(answer.body) < 4.1 * 1_048_576
        page = answer.json()
        found += [letter["id"] for letter in page["dead_letters"]]
        after = page["next"]
    assert found == sorted(set(found))
    assert len(found) == repair.discard_dead(address=subscriber.address) == 1_000


def test_dead_letters_are_told_apart_by_address(
    caller: Caller, repair: RepairClient, rejecting: RecordingSubscriber, subscribe: Subscribe
) -> None:
    """With an address only that subscriber's are listed; without one, everybody's."""
    other = subscribe(always(400))
    dead_after(caller, rejecting, 2)
    eventually(settled(caller, other.address, dead=2), 30)
    for subscriber in (rejecting, other):
        letters = repair.dead_letters(address=subscriber.address)
        assert [letter["subscriber"] for letter in letters] == [subscriber.address] * 2
    everybody = {letter["subscriber"] for letter in repair.dead_letters(limit=1_000)}
    assert everybody >= {rejecting.address, other.address}


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1_001}, {"limit": "many"}, {"after": -1}, {"address": "a b"}]
)
def test_a_page_that_cannot_be_is_refused(repair: RepairClient, query: dict[str, Any]) -> None:
    """A page that cannot be is answered 400 with a sentence."""
    assert_problem(repair.ask("GET", "/deadLetters", **query), 400)


def test_an_event_that_is_tried_too_long_is_dead(tmp_path: Path) -> None:
    """Past ``EVENTBUS_RETRY_SECONDS`` a delivery that keeps failing is dead, and the reason says so."""
    with (
        BusServer(tmp_path, {"EVENTBUS_RETRY_SECONDS": "2"}) as bus,
        RecordingSubscriber(always(500, b"busy")) as subscriber,
    ):
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        (event,) = dead_after(caller, subscriber, 1)
        (letter,) = RepairClient(bus.port).dead_letters()
        assert (letter["event"], letter["reason"]) == (event, "not delivered within 2 s")
        assert letter["attempts"] == subscriber.counts[event] > 1
        assert (letter["last_status"], letter["last_answer"]) == (500, {"text": "busy"})


def test_what_a_subscriber_that_is_down_misses_is_dead(tmp_path: Path) -> None:
    """Events for a subscriber that is not there are dead letters after as long, with why it was not reached."""
    with BusServer(tmp_path, {"EVENTBUS_RETRY_SECONDS": "2"}) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        subscriber.down()
        ids = dead_after(caller, subscriber, 5)
        letters = RepairClient(bus.port).dead_letters()
        assert sorted(letter["event"] for letter in letters) == sorted(ids)
        assert {letter["reason"] for letter in letters} == {"not delivered within 2 s"}
        assert all(letter["last_status"] is None and letter["last_error"] for letter in letters)


def test_what_is_pending_when_a_lease_ends_is_dead(tmp_path: Path) -> None:
    """What a subscriber without ``resume`` had not got when its lease ended is dead; replayed, it waits for it."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller, repair = Caller(bus.port), RepairClient(bus.port)
        caller.register(subscriber.address, lease=5)
        subscriber.down()
        ids = [caller.publish(b"%d" % number) for number in range(20)]
        eventually(lambda: len(repair.dead_letters()) == len(ids), 30)
        assert {letter["reason"] for letter in repair.dead_letters()} == {"lease ended"}
        assert repair.replay_dead(id=repair.dead_letters()[0]["id"]) == 1
        assert repair.replay_dead(address=subscriber.address) == len(ids) - 1
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(ids)
        eventually(settled(caller, subscriber.address, accepted=20, delivered=20, dead=0), 30)
        assert repair.dead_letters() == []
