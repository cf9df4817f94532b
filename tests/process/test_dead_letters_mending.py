"""Dead letters are put back as pending or discarded: one, a subscriber's, or all; and outlive a kill."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import settled
from tests.support.answers import assert_problem
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

DEAD = 5


class Scene:
    """A bus of its own with two subscribers that have rejected the same events, and take what comes again."""

    def __init__(self, bus: BusServer, one: RecordingSubscriber, two: RecordingSubscriber) -> None:
        self.bus, self.one, self.two = bus, one, two
        self.caller, self.repair = Caller(bus.port), RepairClient(bus.port)
        self.ids: list[str] = []

    def reject(self, switch: Switch) -> None:
        """Let both reject a few events."""
        switch.status = 422
        for subscriber in (self.one, self.two):
            self.caller.register(subscriber.address)
        self.ids = [self.caller.publish(b"%d" % number) for number in range(DEAD)]
        for subscriber in (self.one, self.two):
            eventually(self.account(subscriber, dead=DEAD), 30)
            subscriber.counts.clear()
        switch.status = 200

    def account(self, subscriber: RecordingSubscriber, **counts: int) -> Any:
        """Whether nothing is pending and the account holds these numbers."""
        return settled(self.caller, subscriber.address, accepted=DEAD, **counts)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Two subscribers with dead letters."""
    switch = Switch()
    with BusServer(tmp_path) as bus, RecordingSubscriber(switch) as one, RecordingSubscriber(switch) as two:
        found = Scene(bus, one, two)
        found.reject(switch)
        yield found


def test_one_dead_letter_is_replayed(scene: Scene) -> None:
    """``id`` puts one dead letter back as pending; its subscriber gets that event, whose attempts go on counting."""
    letter = scene.repair.dead_letters(address=scene.one.address)[2]
    assert scene.repair.replay_dead(id=letter["id"]) == 1
    scene.one.wait_for_ids([letter["event"]])
    eventually(scene.account(scene.one, delivered=1, dead=DEAD - 1), 30)
    assert scene.one.received[-1].header("Eventbus-Attempt") == "2"
    assert (scene.one.counts, scene.two.counts.total()) == ({letter["event"]: 1}, 0)


def test_a_subscribers_dead_letters_are_replayed(scene: Scene) -> None:
    """``address`` puts all of one subscriber's back, and nobody else's."""
    assert scene.repair.replay_dead(address=scene.one.address) == DEAD
    eventually(scene.account(scene.one, delivered=DEAD, dead=0), 30)
    assert (scene.one.counts, scene.two.counts.total()) == (dict.fromkeys(scene.ids, 1), 0)
    assert len(scene.repair.dead_letters()) == DEAD


def test_all_dead_letters_are_replayed(scene: Scene) -> None:
    """``all=true`` puts everybody's back who is registered; the others' stay."""
    scene.caller.deregister(scene.two.address)
    assert scene.repair.replay_dead(all="true") == DEAD
    eventually(scene.account(scene.one, delivered=DEAD, dead=0), 30)
    assert {letter["subscriber"] for letter in scene.repair.dead_letters()} == {scene.two.address}
    assert scene.two.counts.total() == 0


def test_one_dead_letter_is_discarded(scene: Scene) -> None:
    """``id`` discards one dead letter; the event's state for that subscriber says so."""
    letter = scene.repair.dead_letters(address=scene.one.address)[0]
    assert scene.repair.discard_dead(id=letter["id"]) == 1
    assert scene.account(scene.one, discarded=1, dead=DEAD - 1)()
    assert letter["id"] not in {other["id"] for other in scene.repair.dead_letters()}
    states = scene.repair.states(letter["event"])
    assert states == {scene.one.address: "discarded", scene.two.address: "dead"}
    assert_problem(scene.repair.ask("DELETE", "/deadLetters", id=letter["id"]), 404)


def test_a_subscribers_dead_letters_are_discarded(scene: Scene) -> None:
    """``address`` discards all of one subscriber's, whether or not it is registered."""
    scene.caller.deregister(scene.one.address)
    assert scene.repair.discard_dead(address=scene.one.address) == DEAD
    assert {letter["subscriber"] for letter in scene.repair.dead_letters()} == {scene.two.address}
    scene.caller.register(scene.one.address)
    assert scene.account(scene.one, discarded=DEAD, dead=0)()


def test_all_dead_letters_are_discarded(scene: Scene) -> None:
    """``all=true`` discards everybody's, and nothing is delivered by that."""
    assert scene.repair.discard_dead(all="true") == 2 * DEAD
    assert scene.repair.dead_letters() == []
    for subscriber in (scene.one, scene.two):
        assert scene.account(subscriber, discarded=DEAD, dead=0)()
    assert (scene.one.counts.total(), scene.two.counts.total()) == (0, 0)


@pytest.mark.parametrize(("method", "path"), [("POST", "/deadLetters/replay"), ("DELETE", "/deadLetters")])
def test_nobody_means_all_by_leaving_something_out(scene: Scene, method: str, path: str) -> None:
    """A choice of nothing, of two things, or of a thing that cannot be is 400; an id that is not there 404."""
    wrong: list[dict[str, Any]] = [
        {}, {"all": "false"}, {"all": ""}, {"id": "x"}, {"id": "-1"}, {"address": ""},
        {"id": 1, "all": "true"}, {"address": scene.one.address, "all": "true"},
    ]  # fmt: skip
    for query in wrong:
        assert_problem(scene.repair.ask(method, path, **query), 400)
    assert_problem(scene.repair.ask(method, path, id=999_999), 404)
    assert len(scene.repair.dead_letters()) == 2 * DEAD


def test_a_replay_needs_somebody_to_replay_to(scene: Scene) -> None:
    """Replaying for an address that is not registered is 409, and the dead letter stays."""
    scene.caller.deregister(scene.one.address)
    letter = scene.repair.dead_letters(address=scene.one.address)[0]
    assert_problem(scene.repair.ask("POST", "/deadLetters/replay", id=letter["id"]), 409)
    assert_problem(scene.repair.ask("POST", "/deadLetters/replay", address=scene.one.address), 409)
    assert_problem(scene.repair.ask("POST", "/deadLetters/replay", address="192.0.2.1:9"), 409)
    assert len(scene.repair.dead_letters(address=scene.one.address)) == DEAD


def test_dead_letters_outlive_a_kill(scene: Scene) -> None:
    """After ``kill -9`` the dead letters that were listed are there, word for word, and can be replayed."""
    before = scene.repair.dead_letters()
    scene.bus.kill()
    scene.bus.start()
    assert scene.repair.dead_letters() == before
    assert scene.repair.replay_dead(address=scene.one.address) == DEAD
    scene.one.wait_for_ids(scene.ids)


def test_what_was_decided_about_dead_letters_outlives_a_kill(scene: Scene) -> None:
    """What was replayed or discarded just before ``kill -9`` is delivered, or stays discarded, after it."""
    scene.one.down()
    assert scene.repair.replay_dead(address=scene.one.address) == DEAD
    assert scene.repair.discard_dead(address=scene.two.address) == DEAD
    scene.bus.kill()
    scene.one.up()
    scene.bus.start()
    scene.one.wait_for_ids(scene.ids)
    eventually(scene.account(scene.one, delivered=DEAD, dead=0), 30)
    assert scene.account(scene.two, discarded=DEAD, dead=0)()
    assert (scene.repair.dead_letters(), scene.two.counts.total()) == ([], 0)
