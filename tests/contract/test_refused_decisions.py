"""What is answered with an error has changed nothing, here and for the next process; what is answered stands."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import JournalUnavailable, NotFound, TooMany
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms, group_key
from eventbus.core.settings import Settings
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane_registry import targets_of
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.services.dead_letters import Chosen
from tests.support.deadline import eventually
from tests.support.faulty_sqlite import Faults, faulty_connect, sqlite_error
from tests.support.lanes import BUSY, ENOUGH, UNWANTED
from tests.support.scripted import ScriptedTransport

A, B, C, D, E = (f"127.0.0.1:{port}" for port in range(8001, 8006))
#: A group with two members, C and D; E is alone in another.
MAILER = "mailer"
ALL = {A, group_key(MAILER), group_key("alone")}
#: More commits than fail in any test.
MANY = 10_000
CONNECT = sqlite3.connect


class Scene:
    """A bus over a disk that fails at times: A has one dead letter, and two events that fail."""

    def __init__(self, faults: Faults, folder: Path) -> None:
        self.path = folder / "bus.db"
        self._faults = faults
        self._faulty = sqlite3.connect
        self.transport = ScriptedTransport()
        self.bus = self._started(self.path)
        self.bus.retention.stop()  # its commits are nobody's decision
        self.lane = self.register(A)
        self.publish(3)
        eventually(lambda: len(self.transport.held) == 3, 10)
        self.transport.answer(self.transport.held[:1], UNWANTED)
        self.transport.answer(self.transport.held[1:], BUSY)
        eventually(lambda: self.lane.dead == 1 and self.lane.failed_attempts == 3, 10)
        for member in (C, D):
            self.register(member, group=MAILER, topics=(f"to.{member}",))
        self.register(E, group="alone", topics=("none",), resume=True)
        self.bus.dispatcher.checkpointer.save()

    def _started(self, path: Path) -> Bus:
        bus = Bus(Settings(), SqliteJournal(str(path)), self.transport)
        bus.start()
        return bus

    def register(self, address: str, start: str | None = None, group: str | None = None, **terms: Any) -> Lane:
        """Register or renew, perhaps as a member of a group."""
        return self.bus.register(parse_address(address), Terms(lease=600, **terms), start, group=group).lane

    def publish(self, count: int, topic: str | None = None) -> None:
        """Publish events with empty bodies."""
        wall = self.bus.clock.wall()
        self.bus.publish([Message(new_event_id(), topic, b"", b"", wall) for _ in range(count)])

    def fail(self) -> None:
        """From now on no commit works, and one has failed already that had something to save."""
        self.lane.touch()
        self._faults.plan("COMMIT", *(sqlite_error("SQLITE_IOERR_FSYNC") for _ in range(MANY)))
        with pytest.raises(JournalUnavailable):
            self.bus.dispatcher.checkpointer.save()

    def works(self) -> None:
        """From now on commits work."""
        self._faults.planned.clear()

    def seen(self) -> dict[str, Any]:
        """What there is to see of each lane that is here, and of dead letters."""
        return seen(self.bus)

    def seen_after_a_crash(self) -> dict[str, Any]:
        """The same, of a process that would start now."""
        copy = self.path.with_name("copy.db")
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.path}{suffix}", f"{copy}{suffix}")
        transport, self.transport = self.transport, ScriptedTransport()
        sqlite3.connect = CONNECT
        bus = self._started(copy)
        try:
            return seen(bus)  # before any greenlet of the bus runs
        finally:
            bus.stop()
            self.transport, sqlite3.connect = transport, self._faulty


def seen(bus: Bus) -> dict[str, Any]:
    """What there is to see of a bus's lanes, and of dead letters."""
    live = {lane.subscriber.key for lane in bus.subscribers()}
    lanes = {
        key: (
            (lane.subscriber, *(target.subscriber for target in targets_of(lane))),
            lane.account, lane.backlog, lane.interests, [s.span() for s in lane.replays],
            lane.lease.renewed_at, lane.lease.ends > bus.clock.monotonic(),
            [bus.node.leases.get(target.subscriber.key, 0.0) for target in targets_of(lane)],
        )[: 7 if key in live else None]
        for key, lane in bus.dispatcher.lanes.items()
    }  # fmt: skip
    return {"lanes": lanes, "live": live, "dead": [kept.id for kept in bus.journal.dead_letters(None, 0, MANY)]}


def kept_of(found: dict[str, Any]) -> dict[str, Any]:
    """What of that outlives a process: all but the leases, which begin anew."""
    return {key: lane[:5] for key, lane in found["lanes"].items()}


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    """A bus over a disk that fails when a test says so."""
    faults = Faults()
    monkeypatch.setattr(sqlite3, "connect", faulty_connect(faults))
    found = Scene(faults, tmp_path)
    try:
        yield found
    finally:
        found.works()
        found.bus.stop()


#: What somebody asks for, by what it is.
DECISIONS: dict[str, Callable[[Scene], object]] = {
    "registration": lambda scene: scene.register(B),
    "registration with a replay": lambda scene: scene.register(B, "earliest"),
    "renewal on other terms": lambda scene: scene.register(A, ordered=True),
    "renewal with other topics": lambda scene: scene.register(A, topics=("other",)),
    "deregistration": lambda scene: scene.bus.deregister(A),
    "registration in a group": lambda scene: scene.register(B, group="new"),
    "joining": lambda scene: scene.register(B, group=MAILER),
    "renewal of a member with other topics": lambda scene: scene.register(C, group=MAILER, topics=("other",)),
    "leaving": lambda scene: scene.bus.deregister(C),
    "leaving as the last": lambda scene: scene.bus.deregister(E),
    "deregistration of a group": lambda scene: scene.bus.deregister(group_key(MAILER)),
    "replay": lambda scene: scene.bus.replays.begin(A, "earliest", "now"),
    "replay of a dead letter": lambda scene: scene.bus.dead_letters.replay(Chosen(key=A), new_event_id()),
    "discard of a dead letter": lambda scene: scene.bus.dead_letters.discard(Chosen(key=A)),
}
each_decision = pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)


@contextmanager
def unchanged(scene: Scene) -> Iterator[None]:
    """Nothing that is done in this block changes anything."""
    before = scene.seen()
    yield
    assert scene.seen() == before


@each_decision
def test_a_decision_that_cannot_be_saved_does_not_happen(scene: Scene, decide: Callable[[Scene], object]) -> None:
    """However often it is asked for it is refused and changes nothing; once it is answered it outlives a crash."""
    after_a_crash = scene.seen_after_a_crash()
    scene.fail()
    with unchanged(scene):
        for _ in range(3):
            with pytest.raises(JournalUnavailable):
                decide(scene)
    scene.works()
    scene.bus.dispatcher.checkpointer.save()
    assert scene.seen_after_a_crash()["dead"] == after_a_crash["dead"]
    assert scene.seen_after_a_crash()["lanes"].keys() == ALL
    decide(scene)
    now, then = scene.seen(), scene.seen_after_a_crash()
    assert (now["live"], now["dead"]) == (then["live"], then["dead"])
    assert {key: lane[:5] for key, lane in now["lanes"].items()} == {
        key: lane[:5] for key, lane in then["lanes"].items()
    }


@each_decision
def test_only_the_commit_of_a_decision_fails(scene: Scene, decide: Callable[[Scene], object]) -> None:
    """What is refused by the one commit that was to keep it has not happened either."""
    scene.bus.dispatcher.checkpointer.stop()
    scene._faults.plan("COMMIT", sqlite_error("SQLITE_IOERR_FSYNC"))  # noqa: SLF001 - the next one alone
    with unchanged(scene), pytest.raises(JournalUnavailable):
        decide(scene)
    scene.bus.dispatcher.checkpointer.save()
    assert scene.seen_after_a_crash()["lanes"].keys() == ALL
    assert scene.seen_after_a_crash()["lanes"][A][:5] == scene.seen()["lanes"][A][:5]


def test_a_renewal_on_the_same_terms_needs_no_disk(scene: Scene) -> None:
    """A subscriber that renews while nothing can be saved stays registered."""
    scene.fail()
    ends = scene.lane.lease.ends
    scene.register(A)
    assert scene.lane.lease.ends > ends
    assert scene.bus.node.leases.get(A, 0.0) is scene.lane.lease


def test_too_many_changes_of_topics_renew_nothing(scene: Scene) -> None:
    """What is answered 429 extends no lease, neither the registry's nor the lane's, and keeps the topics."""
    with pytest.raises(TooMany):
        for number in range(30):
            lease = scene.lane.lease
            scene.publish(1)
            scene.register(A, topics=(f"t{number}",))
    assert scene.lane.lease is lease
    assert scene.bus.node.leases.get(A, 0.0) is lease
    with unchanged(scene), pytest.raises(TooMany):
        scene.register(A, topics=("another",))
    scene.register(A)
    assert scene.bus.node.leases.get(A, 0.0) is scene.lane.lease is not lease


def test_a_place_that_is_not_known_registers_nobody(scene: Scene) -> None:
    """A registration from an event that is not there leaves nothing behind."""
    with unchanged(scene), pytest.raises(NotFound):
        scene.register(B, "no-such-event")
    assert scene.seen_after_a_crash()["live"] == ALL


def test_a_registration_and_its_replay_are_one_commit(scene: Scene) -> None:
    """Whatever a process that starts then finds has both, or neither; what comes while it is saved is not missing."""
    commit, found = scene.bus.journal.checkpoint, []

    def checkpoint(changes: Any) -> None:
        found.append(scene.seen_after_a_crash()["lanes"].get(B))
        scene.publish(2)
        commit(changes)

    scene.bus.dispatcher.checkpointer.stop()
    scene.bus.journal.checkpoint = checkpoint  # type: ignore[method-assign]
    lane = scene.register(B, "earliest")
    scene.bus.journal.checkpoint = commit  # type: ignore[method-assign]
    assert found == [None]
    then = scene.seen_after_a_crash()["lanes"][B]
    assert (lane.accepted, lane.backlog) == (5, 5)
    assert (then[1].accepted, then[2]) == (5, 5)


@pytest.mark.parametrize("way", ["answered 410", "not renewed"])
def test_an_end_that_cannot_be_refused_waits_until_it_is_saved(scene: Scene, way: str) -> None:
    """Meanwhile the account adds up, nothing is delivered, and nobody registers anew; then all of it is kept."""
    scene.fail()
    if way == "answered 410":
        eventually(lambda: scene.transport.held, 10)
        scene.transport.answer(list(scene.transport.held), ENOUGH)
    else:
        lease = scene.bus.node.leases.end(A)
        assert lease is not None
        scene.bus.sweeper.expire(lease)
    eventually(lambda: scene.lane not in scene.bus.subscribers() or way == "not renewed", 10)
    with pytest.raises(JournalUnavailable):
        scene.register(A)
    account = scene.lane.account
    assert (account.accepted, account.pending) == (3, scene.lane.backlog)
    assert scene.seen_after_a_crash()["live"] == ALL
    scene.works()
    scene.transport.always = BUSY
    scene.transport.answer(list(scene.transport.held), BUSY)  # else the end waits for these
    eventually(lambda: A not in scene.bus.dispatcher.lanes, 10)
    record = scene.bus.journal.lane(A)
    assert record is not None
    dead = len(scene.bus.journal.dead_letters(A, 0, MANY))
    assert record.account.pending == 0
    assert (record.account.dead, record.account.discarded) == ((1, 2) if way == "answered 410" else (3, 0))
    assert dead == record.account.dead
    assert scene.seen_after_a_crash()["live"] == ALL - {A}
