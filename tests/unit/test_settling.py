"""A publish that waits is answered when its event is settled, when its time is over, or when nobody needs it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import JournalUnavailable, TooMany
from eventbus.core.model import Event, Options, Subscriber
from eventbus.core.records import FailedDelivery
from eventbus.delivery.awaited import DeliveryState
from eventbus.services import settling
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.history import History
from eventbus.services.settled_fates import PeerFates, Settled, SettledFate, merged
from eventbus.services.settling import Settling
from tests.support.deadline import eventually
from tests.support.lanes import UNWANTED, answer
from tests.support.memory_node import A, B, C, MemoryNode

#: Seconds that nobody waits for in these tests.
LONG = 60.0


class PeersOfTest:
    """Other nodes that answer as a test says."""

    def __init__(self, *answers: PeerFates) -> None:
        self.answers = list(answers)
        self.watched: list[str] = []
        self.asked = 0

    def watch(self, event_id: str) -> None:
        """Note what is watched."""
        self.watched.append(event_id)

    def ask(self, _: str) -> PeerFates:
        """Give the next answer, and the last one again and again."""
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Scene(MemoryNode):
    """A node with two subscribers, and publishes that wait."""

    def __init__(self) -> None:
        super().__init__()
        quick = replace(self.node.timing, settle_look_seconds=0.01, settle_check_seconds=0.02)
        self.node = replace(self.node, timing=quick)
        self.first, self.second = self.lane(A), self.lane(B)
        self.settling = Settling(self.node, History(self.node))

    @contextmanager
    def waiting(self, seconds: float = LONG, **options: Any) -> Iterator["gevent.Greenlet[..., Settled]"]:
        """An event that is published, and a greenlet that waits for it."""
        with self.settling.awaiting("id-1", None) as awaited:
            self.publish(None)
            gone: Callable[[], bool] = options.pop("gone", lambda: False)
            greenlet = gevent.spawn(self.settling.wait, awaited, seconds, gone, options.pop("peers", None))
            gevent.sleep(0)
            try:
                yield greenlet
            finally:
                greenlet.kill()

    def deliver(self, *lanes: Any) -> None:
        """Have the next delivery of these accepted."""
        for lane in lanes:
            delivery = lane.take(self.now)
            lane.deliver(delivery, self.now)
            self.dispatcher.awaited.delivered(lane, delivery, 200)

    def reject(self, lane: Any) -> None:
        """Have its next delivery rejected."""
        delivery = lane.take(self.now)
        answer(lane, delivery, UNWANTED, self.now)
        self.dispatcher.awaited.failed(lane, delivery, UNWANTED.status)


def states(settled: Settled) -> dict[str, str]:
    """The states by key."""
    return {key: fate.delivery.state for key, fate in settled.fates.items()}


def fate(key: str, state: str, attempts: int | None = None) -> SettledFate:
    """A fate that another node knows."""
    return SettledFate(Subscriber(parse_address(key), Options()), DeliveryState(state, attempts))


def test_it_ends_with_the_last_delivery() -> None:
    """The journal is not asked where memory knows all."""
    scene = Scene()
    with scene.waiting() as waiting:
        scene.deliver(scene.first)
        gevent.sleep(0.05)
        assert not waiting.ready()
        before = len(scene.journal.checkpoints)
        scene.deliver(scene.second)
        assert states(waiting.get(timeout=5)) == {A: "delivered", B: "delivered"}
        assert len(scene.journal.checkpoints) == before


def test_it_ends_with_its_time() -> None:
    """What is not settled is pending."""
    scene = Scene()
    with scene.waiting(1.0) as waiting:
        scene.deliver(scene.first)
        scene.now = 1.0
        assert states(waiting.get(timeout=5)) == {A: "delivered", B: "pending"}


def test_a_dead_letter_is_told_once_it_is_saved() -> None:
    """While the journal cannot be written it is pending; the publish is no error."""
    scene = Scene()
    scene.journal.failures = [JournalUnavailable("no disk")] * 3
    with scene.waiting() as waiting:
        scene.deliver(scene.first)
        scene.journal.failed = {1: [FailedDelivery(B, "dead", 1, 400)]}
        scene.reject(scene.second)
        while scene.journal.failures:
            scene.now += 1.0
            gevent.sleep(0.01)
            assert scene.now < LONG
        scene.now += 1.0
        found = waiting.get(timeout=5)
    assert found.fates[B].delivery == DeliveryState("dead", 1, 400)


def test_who_leaves_meanwhile_has_discarded_it() -> None:
    """A subscriber that deregisters settles it so."""
    scene = Scene()
    with scene.waiting() as waiting:
        scene.deliver(scene.first)
        scene.journal.failed = {1: [FailedDelivery(B, "discarded")]}
        LeaseExpiry(scene.node, lambda _: None).discard(scene.second)
        assert states(waiting.get(timeout=5)) == {A: "delivered", B: "discarded"}


def test_who_leaves_and_comes_back_meanwhile_has_discarded_it() -> None:
    """The new registration knows nothing of it."""
    scene = Scene()
    with scene.waiting() as waiting:
        scene.deliver(scene.first)
        LeaseExpiry(scene.node, lambda _: None).discard(scene.second)
        scene.lane(B)
        assert states(waiting.get(timeout=5)) == {A: "delivered", B: "discarded"}


def test_who_registers_meanwhile_does_not_count() -> None:
    """Those count that the event was offered to."""
    scene = Scene()
    with scene.waiting() as waiting:
        scene.lane(C)
        scene.journal.failed = {1: [FailedDelivery(A, "dead", 1, 400)]}
        scene.reject(scene.first)  # so that the journal is asked
        scene.deliver(scene.second)
        assert states(waiting.get(timeout=5)) == {A: "dead", B: "delivered"}


@pytest.mark.parametrize("how", ["the bus stops", "the client goes"])
def test_it_ends_at_once_where(how: str) -> None:
    """With what is known."""
    scene, left = Scene(), [False]
    with scene.waiting(gone=lambda: left[0]) as waiting:
        if how == "the bus stops":
            scene.settling.stop()
        else:
            left[0] = True
        assert states(waiting.get(timeout=5)) == {A: "pending", B: "pending"}


def test_as_many_may_wait_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused before it is published, and the count goes down when one ends."""
    monkeypatch.setattr(settling, "MAX_WAITING", 1)
    scene = Scene()
    with scene.settling.awaiting("id-1", None):
        assert scene.counters.settling == 1
        with pytest.raises(TooMany, match="1 publishes wait"), scene.settling.awaiting("id-2", None):
            raise AssertionError("admitted")
    assert scene.counters.settling == 0
    with scene.settling.awaiting("id-2", None):
        pass


def test_they_may_wait_for_as_many_deliveries_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two subscribers are too many where one delivery may be waited for."""
    monkeypatch.setattr(settling, "MAX_AWAITED_DELIVERIES", 1)
    scene = Scene()
    with pytest.raises(TooMany, match="may"), scene.settling.awaiting("id-1", None):
        raise AssertionError("admitted")


def test_a_former_event_is_followed() -> None:
    """Of an idempotency key that was used before, the event of then counts, whose attempts nobody has noted."""
    scene = Scene()
    (event,) = scene.publish(None)
    scene.deliver(scene.first)
    with scene.settling.awaiting("id-2", None) as awaited:
        scene.settling.follow(awaited, event.id)
        waiting = gevent.spawn(scene.settling.wait, awaited, LONG, lambda: False)
        gevent.sleep(0.05)
        assert not waiting.ready()
        scene.deliver(scene.second)
        found = waiting.get(timeout=5)
    assert found.fates[A].delivery == DeliveryState("delivered")
    assert found.fates[B].delivery == DeliveryState("delivered", 1, 200)


def test_other_nodes_are_asked_until_nothing_is_pending_there() -> None:
    """What they say is in the answer."""
    scene = Scene()
    pending, delivered = PeerFates({C: fate(C, "pending")}), PeerFates({C: fate(C, "delivered", 2)})
    peers = PeersOfTest(pending, pending, delivered)
    with scene.waiting(peers=peers) as waiting:
        gevent.sleep(0.05)
        assert peers.asked == 0
        scene.deliver(scene.first, scene.second)
        eventually(lambda: peers.asked == 1, 5)
        scene.now += 1.0
        eventually(lambda: peers.asked == 2, 5)
        scene.now += 1.0
        assert states(waiting.get(timeout=5)) == {A: "delivered", B: "delivered", C: "delivered"}


def test_a_node_that_does_not_answer_leaves_its_subscriptions_pending() -> None:
    """As many are counted as are known to get such events."""
    scene = Scene()
    scene.node.cluster.reach = lambda _: 2  # type: ignore[method-assign]
    with scene.waiting(1.0, peers=PeersOfTest(PeerFates({C: fate(C, "delivered")}, complete=False))) as waiting:
        scene.deliver(scene.first, scene.second)
        scene.now = 1.0
        found = waiting.get(timeout=5)
    assert found.unknown == 1
    assert len(found.fates) == 3


def test_of_two_nodes_that_disagree_the_later_state_counts() -> None:
    """And of two that agree, the one that knows the attempts."""
    own = {A: fate(A, "pending", 1), B: fate(B, "delivered"), C: fate(C, "delivered", 1)}
    others = {A: fate(A, "delivered"), B: fate(B, "delivered", 3), C: fate(C, "pending")}
    found = merged(own, others)
    assert [found[key].delivery for key in (A, B, C)] == [
        DeliveryState("delivered"),
        DeliveryState("delivered", 3),
        DeliveryState("delivered", 1),
    ]


def test_a_node_tells_another_what_became_of_an_event_in_its_lanes() -> None:
    """From the first question on it notes attempts; before the event is there, it knows nothing."""
    scene = Scene()
    assert scene.settling.report("id-1", 1.0) is None
    scene.publish(None)
    scene.deliver(scene.first)
    found = scene.settling.report("id-1", 1.0)
    assert found is not None
    assert {key: one.delivery for key, one in found.items()} == {
        A: DeliveryState("delivered", 1, 200),
        B: DeliveryState("pending", 0),
    }


def test_an_event_that_this_node_has_not_read_yet_is_pending() -> None:
    """On Redis another node may have published it a moment ago."""
    scene = Scene()
    scene.journal.events.append(Event(1, "id-1", None, b"", b"", 0.0))
    found = scene.settling.report("id-1", 1.0)
    assert found is not None
    assert {one.delivery.state for one in found.values()} == {"pending"}


def test_what_is_watched_for_others_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that nothing is noted, and the journal tells the states."""
    monkeypatch.setattr(settling, "MAX_WATCHED", 0)
    scene = Scene()
    assert scene.settling.report("id-1", 1.0) is None
    assert not scene.dispatcher.awaited.expected


def test_a_watch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A while after the other node's publish has to be answered."""
    monkeypatch.setattr(settling, "WATCH_MORE_SECONDS", 0.0)
    scene = Scene()
    scene.settling.report("id-1", 0.0)
    eventually(lambda: not scene.dispatcher.awaited.expected, 5)


def test_awaited_events_are_forgotten_with_their_publish() -> None:
    """Nothing is noted any more, whatever the publish ended with."""
    scene = Scene()
    with pytest.raises(JournalUnavailable), scene.settling.awaiting("id-1", None):
        raise JournalUnavailable("no disk")
    assert not scene.dispatcher.awaited.expected
