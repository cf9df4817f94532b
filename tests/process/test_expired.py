"""A subscriber whose lease ended stays in sight until it returns, deregisters, or the retention is over."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.caller import JSON, Caller, register_target
from tests.support.cluster import cluster_on
from tests.support.deadline import eventually
from tests.support.expired import all_expired, expired_of, gone_by_itself, states
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.repair import RepairClient
from tests.support.responders import always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

LEASE = 5
EVENTS = 3


class Scene:
    """A bus with one subscriber whose pending events have become dead letters, and one whose position is kept."""

    def __init__(self, bus: BusServer, stack: ExitStack) -> None:
        self.bus, self.caller, self.repair = bus, Caller(bus.port), RepairClient(bus.port)
        self.dead, self.kept = (stack.enter_context(RecordingSubscriber(always(200))) for _ in range(2))
        self.ids = gone_by_itself(self.caller, [(self.dead, False), (self.kept, True)], LEASE, EVENTS)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Two that have expired."""
    with ExitStack() as stack:
        yield Scene(stack.enter_context(BusServer(tmp_path)), stack)


def test_an_expired_subscriber_is_shown_over_a_kill_until_it_returns(scene: Scene) -> None:
    """List, metrics and page show it with its account; what is dead or pending waits for its return."""
    for _ in range(2):
        found = all_expired(scene.caller, 2)
        dead, kept = found[scene.dead.address], found[scene.kept.address]
        assert (dead["state"], dead["dead"], dead["pending"]) == ("expired", EVENTS, 0)
        assert (kept["state"], kept["dead"], kept["pending"]) == ("expired", 0, EVENTS)
        assert dead["expired_at"] == dead["expires_at"]
        text = scene.caller.call("GET", "/listSubscribers?expired=true").text
        assert f"{dead['address']}  :  {dead['renewed_at']}\n" in text
        assert scene.caller.subscribers() == []
        assert scene.caller.call("GET", "/listSubscribers").text == ""
        assert states(scene.caller)["expired"] == 2
        assert scene.caller.call("GET", f"/dashboard/subscriber?address={dead['address']}").status == 200
        scene.bus.kill()
        scene.bus.start()
    assert scene.repair.replay_dead(address=scene.dead.address) == EVENTS
    waits = expired_of(scene.caller)[scene.dead.address]
    assert (waits["dead"], waits["pending"], waits["state"]) == (0, EVENTS, "expired")
    scene.bus.kill()
    scene.bus.start()
    late = scene.caller.publish(b"while nobody is there")
    for subscriber in (scene.dead, scene.kept):
        subscriber.up()
        assert scene.caller.register(subscriber.address)["created"] is True
        subscriber.wait_for_ids(scene.ids)
    after = scene.caller.publish(b"for both")
    scene.dead.wait_for_ids([after])
    scene.kept.wait_for_ids([after, late])
    assert late not in scene.dead.counts
    assert expired_of(scene.caller) == {}
    eventually(lambda: states(scene.caller)["expired"] == 0, 20)


def test_discarding_and_deregistering_work_for_an_expired_subscriber(scene: Scene) -> None:
    """Its dead letters are discarded; deregistering ends the state at once, and over a kill."""
    all_expired(scene.caller, 2)
    letter = scene.repair.dead_letters(address=scene.dead.address)[0]["id"]
    assert scene.repair.discard_dead(id=letter) == 1
    assert scene.repair.discard_dead(address=scene.dead.address) == EVENTS - 1
    eventually(lambda: expired_of(scene.caller)[scene.dead.address]["discarded"] == EVENTS, 20)
    scene.caller.deregister(scene.dead.address)
    scene.caller.deregister(scene.kept.address)
    assert expired_of(scene.caller) == {}
    scene.bus.kill()
    scene.bus.start()
    assert scene.caller.publish()
    assert expired_of(scene.caller) == {}


def test_an_expired_subscriber_is_forgotten_after_the_retention(tmp_path: Path) -> None:
    """It is shown for the retention, and then no more: neither it nor its dead letters are left."""
    with ExitStack() as stack:
        scene = Scene(stack.enter_context(BusServer(tmp_path, {"EVENTBUS_RETENTION_SECONDS": "3"})), stack)
        all_expired(scene.caller, 2)
        eventually(lambda: expired_of(scene.caller) == {}, 30)
        eventually(lambda: states(scene.caller)["expired"] == 0, 20)
        assert scene.repair.dead_letters() == []


def test_an_unknown_choice_of_list_is_refused(tmp_path: Path) -> None:
    """``expired`` is true or false."""
    with BusServer(tmp_path) as bus:
        answer = Caller(bus.port).call("GET", "/listSubscribers?expired=maybe", [JSON])
        assert (answer.status, answer.json()["detail"]) == (400, "expired must be true or false.")
        assert Caller(bus.port).call("GET", "/listSubscribers?expired=false").status == 200


@NEEDS_REDIS
def test_every_node_shows_expired_subscribers_once(tmp_path: Path) -> None:
    """Whichever node is asked, whichever had it; dead letters are replayed at any, and wait where any dies."""
    with (
        RedisServer(tmp_path) as redis,
        cluster_on(tmp_path, redis, [redis.url] * 2) as cluster,
        RecordingSubscriber(always(200)) as dead,
        RecordingSubscriber(always(200)) as kept,
    ):
        one, two = cluster.callers()
        ids = gone_by_itself(one, [(dead, False), (kept, True)], LEASE, EVENTS)
        for caller in (one, two):
            found = all_expired(caller, 2)
            assert {each["address"]: each["dead"] + each["pending"] for each in found.values()} == {
                dead.address: EVENTS,
                kept.address: EVENTS,
            }
            eventually(lambda caller=caller: states(caller)["expired"] == 2, 20)
        assert RepairClient(cluster.nodes[1].port).replay_dead(address=dead.address) == EVENTS
        cluster.nodes[1].kill()
        for subscriber in (dead, kept):
            subscriber.up()
            eventually(lambda at=subscriber.address: one.call("POST", register_target(at)).status == 200, 30)
            subscriber.wait_for_ids(ids, 30)
        eventually(lambda: states(one)["expired"] == 0, 20)
