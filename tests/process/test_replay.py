"""A part of the journal is delivered again, to one subscriber, from an event, a time or the start."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import settled
from tests.support.answers import assert_problem
from tests.support.caller import Caller, register_target
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import Gate
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe


@pytest.fixture
def repair(bus: BusServer) -> RepairClient:
    """Looks into the shared bus."""
    return RepairClient(bus.port)


def take(caller: Caller, subscriber: RecordingSubscriber, count: int) -> list[str]:
    """Let so many events be published and delivered; their ids."""
    before = subscriber.counts.total()
    ids = [caller.publish(b"%d" % number) for number in range(count)]
    eventually(settled(caller, subscriber.address, delivered=before + count), 30)
    return ids


def moment(offset: float = 0.0) -> str:
    """The time now, or so many seconds from now, with all its digits."""
    return (datetime.now(UTC) + timedelta(seconds=offset)).isoformat()


def test_a_replay_from_an_event_begins_with_it(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """``from=ID`` delivers that event and all after it again, with the same ids and bytes, from attempt 1."""
    subscriber = subscribe()
    ids = take(caller, subscriber, 10)
    assert repair.replay(subscriber.address, ids[6]) == 4
    eventually(settled(caller, subscriber.address, accepted=14, delivered=14), 30)
    assert subscriber.counts == {event: 2 if number >= 6 else 1 for number, event in enumerate(ids)}
    assert {r.header("Eventbus-Attempt") for r in subscriber.received} == {"1"}
    assert len({(r.id, r.body) for r in subscriber.received}) == 10


def test_a_replay_ends_where_it_is_told(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """``to=ID`` is the last event that is delivered again."""
    subscriber = subscribe()
    ids = take(caller, subscriber, 10)
    assert repair.replay(subscriber.address, ids[2], to=ids[5]) == 4
    eventually(settled(caller, subscriber.address, delivered=14), 30)
    assert {event for event, times in subscriber.counts.items() if times == 2} == set(ids[2:6])


def test_a_replay_goes_by_time(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """``from`` and ``to`` may be times: what was accepted from the one until the other."""
    subscriber = subscribe()
    take(caller, subscriber, 3)
    began = moment()
    wanted = take(caller, subscriber, 4)
    ended = moment()
    take(caller, subscriber, 2)
    assert repair.replay(subscriber.address, began, to=ended) == 4
    eventually(settled(caller, subscriber.address, delivered=13), 30)
    assert {event for event, times in subscriber.counts.items() if times == 2} == set(wanted)
    assert repair.replay(subscriber.address, moment(3_600)) == 0


def test_a_replay_goes_by_topic(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """Only what the subscriber's topics match is replayed, by the topics that it has now."""
    subscriber = subscribe(topic="a.*")
    first = caller.publish(topic="a.x")
    second = caller.publish(topic="b.x")
    eventually(settled(caller, subscriber.address, delivered=1), 30)
    caller.register(subscriber.address, topic="b.*")
    assert repair.replay(subscriber.address, first) == 1
    eventually(settled(caller, subscriber.address, delivered=2), 30)
    assert subscriber.counts == {first: 1, second: 1}


@pytest.mark.parametrize("start", ["earliest", "id", "time"])
def test_a_first_registration_may_begin_earlier(tmp_path: Path, start: str) -> None:
    """``from`` on a first registration delivers what was there before it, and then what comes."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        earlier = [caller.publish(b"%d" % number) for number in range(5)]
        time = moment()
        ids = [caller.publish(b"%d" % number) for number in range(300)]
        places = {"earliest": "earliest", "id": ids[0], "time": time}
        wanted = earlier * (start == "earliest") + ids
        caller.register(subscriber.address, **{"from": places[start]})
        wanted.append(caller.publish(b"later"))
        subscriber.wait_for_ids(wanted)
        eventually(settled(caller, subscriber.address, accepted=len(wanted), delivered=len(wanted)), 30)
        assert subscriber.counts == dict.fromkeys(wanted, 1)


def test_a_renewal_replays_nothing(caller: Caller, subscribe: Subscribe) -> None:
    """``from`` means something on a first registration alone."""
    subscriber = subscribe()
    take(caller, subscriber, 3)
    assert caller.register(subscriber.address, **{"from": "earliest"})["created"] is False
    assert settled(caller, subscriber.address, accepted=3, delivered=3)()


def test_now_replays_nothing(caller: Caller, subscribe: Subscribe) -> None:
    """``from=now`` is what is meant without it."""
    caller.publish()
    subscriber = subscribe(**{"from": "now"})
    event = caller.publish()
    eventually(settled(caller, subscriber.address, accepted=1, delivered=1), 30)
    assert subscriber.counts == {event: 1}


def test_a_replay_delays_nobody(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """While one subscriber works through a replay at its own pace, live events reach the others."""
    replaying, other = subscribe(), subscribe()
    ids = take(caller, replaying, 500)
    other.wait_for_ids(ids)
    gate = Gate()
    replaying.respond = gate
    assert repair.replay(replaying.address, ids[0]) == 500
    replaying.wait_for(lambda seen: seen.counts.total() > 500)
    live = [caller.publish(b"live") for _ in range(200)]
    other.wait_for_ids(live)
    assert replaying.counts.total() <= 500 + 32
    gate.open()
    replaying.wait_for_ids(live)
    eventually(settled(caller, replaying.address, accepted=1_200, delivered=1_200), 30)


def test_a_replay_outlives_a_kill(tmp_path: Path) -> None:
    """A replay that was under way at ``kill -9`` goes on after it, and its account adds up."""
    with BusServer(tmp_path) as bus, RecordingSubscriber(keep_bodies=False) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        ids = take(caller, subscriber, 400)
        subscriber.down()
        assert RepairClient(bus.port).replay(subscriber.address, "earliest") == 400
        bus.kill()
        subscriber.up()
        bus.start()
        subscriber.wait_for(lambda seen: all(seen.counts[event] >= 2 for event in ids))
        eventually(settled(caller, subscriber.address, accepted=800, delivered=800), 30)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"from_": ""}, 400),
        ({"from_": "2026-11-24T06:03:29"}, 400),
        ({"from_": "2026-13-24T06:03:29Z"}, 400),
        ({"from_": "nothing-of-that-name"}, 404),
        ({"from_": "earliest", "to": "nothing-of-that-name"}, 404),
    ],
)
def test_a_place_that_cannot_be_is_refused(
    caller: Caller, repair: RepairClient, subscribe: Subscribe, query: dict[str, Any], status: int
) -> None:
    """A replay from nowhere is 400, or 404 where it names an event that is not there; nothing is replayed."""
    subscriber = subscribe()
    assert_problem(repair.ask("POST", "/replay", address=subscriber.address, **query), status)
    assert settled(caller, subscriber.address, accepted=0)()


def test_a_replay_needs_a_registration(repair: RepairClient) -> None:
    """A replay for an address that is not registered is 409, and one for no address 400."""
    assert_problem(repair.ask("POST", "/replay", address="127.0.0.1:9", from_="earliest"), 409)
    assert_problem(repair.ask("POST", "/replay", from_="earliest"), 400)


def test_a_registration_from_nowhere_is_refused(caller: Caller) -> None:
    """A first registration whose ``from`` is no place is refused, and nothing is registered."""
    target = register_target("127.0.0.1:9", **{"from": "nothing-of-that-name"})
    assert caller.call("POST", target).status == 404
    assert not caller.listed("127.0.0.1:9")
