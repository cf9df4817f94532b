"""Of an event that somebody waits for it is known in which lanes it is pending, and how others settled it."""

from typing import Any

from eventbus.core.records import DeadLetter
from eventbus.delivery.awaited import AwaitedEvent, DeliveryState
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from tests.support.lanes import UNWANTED, answer
from tests.support.memory_node import A, B, MemoryNode


class Scene(MemoryNode):
    """Two subscribers, and an event that is published while somebody waits for it."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.first, self.second = self.lane(A, **options), self.lane(B)
        self.events = self.dispatcher.awaited
        self.awaited = AwaitedEvent("id-1")
        self.events.add(self.awaited)

    def take(self, lane: Lane) -> Delivery:
        """The next delivery of a lane, in flight."""
        delivery = lane.take(self.now)
        assert delivery is not None
        return delivery

    def deliver(self, lane: Lane, status: int = 200) -> None:
        """Have a lane's next delivery accepted."""
        delivery = self.take(lane)
        lane.deliver(delivery, self.now)
        self.events.delivered(lane, delivery, status)

    def reject(self, lane: Lane) -> None:
        """Have a lane's next delivery rejected."""
        delivery = self.take(lane)
        answer(lane, delivery, UNWANTED, self.now)
        self.events.failed(lane, delivery, UNWANTED.status)


def test_nothing_is_known_before_it_is_published() -> None:
    """It is expected by its id, and other events make no difference."""
    scene = Scene()
    assert scene.awaited.outcomes() == {}
    assert list(scene.events.expected) == ["id-1"]
    assert not scene.events.by_seq


def test_it_is_pending_where_it_was_offered_until_it_is_settled() -> None:
    """When the last delivery is settled, whoever waits is woken, and each has its attempts and status."""
    scene = Scene()
    scene.publish(None)
    assert scene.awaited.outcomes() == {A: DeliveryState("pending", 0), B: DeliveryState("pending", 0)}
    scene.deliver(scene.first)
    assert len(scene.awaited.lanes()) == 1
    assert not scene.awaited.changed.is_set()
    scene.deliver(scene.second, 202)
    assert scene.awaited.changed.is_set()
    assert scene.awaited.outcomes() == {A: DeliveryState("delivered", 1, 200), B: DeliveryState("delivered", 1, 202)}


def test_an_event_for_nobody_is_settled_at_once() -> None:
    """Whoever waits is woken as soon as it is published."""
    scene = Scene(topics=("a",))
    scene.dispatcher.registry.unindex(scene.second)
    scene.publish("b")
    assert scene.awaited.changed.is_set()
    assert scene.awaited.outcomes() == {}


def test_an_attempt_that_fails_leaves_it_pending() -> None:
    """What is known of the last attempt stands beside it."""
    scene = Scene()
    scene.publish(None)
    delivery = scene.take(scene.first)
    scene.first.release(delivery, 0.0)
    delivery.attempts = 3
    scene.events.failed(scene.first, delivery, 500)
    assert scene.awaited.outcomes()[A] == DeliveryState("pending", 3, 500)
    assert not scene.awaited.uncertain


def test_a_dead_letter_counts_once_the_journal_says_so() -> None:
    """It is pending until it is saved, and the journal has to be asked; then it has its attempts."""
    scene = Scene()
    scene.publish(None)
    scene.reject(scene.first)
    assert scene.awaited.uncertain
    assert scene.awaited.changed.is_set()
    assert scene.awaited.outcomes()[A] == DeliveryState("pending", 1, 400)
    scene.awaited.settle(scene.first.subscriber, DeliveryState("dead"))
    assert scene.awaited.outcomes()[A] == DeliveryState("dead", 1, 400)


def test_what_is_lost_in_another_way_is_noticed_when_it_is_saved() -> None:
    """A skip, a quota or the end of a lease makes a lane's dead or discarded more: then the journal is asked."""
    scene = Scene()
    scene.publish(None)
    scene.dispatcher.checkpointer.save()
    assert not scene.awaited.uncertain
    scene.first.dead_letter(Delivery(1), "lease ended", b"", 0.0, 0.0)
    assert not scene.awaited.uncertain
    scene.dispatcher.checkpointer.save()
    assert scene.awaited.uncertain


def test_replays_make_no_difference() -> None:
    """Neither the delivery of a replay nor its failure is that of the event."""
    scene = Scene()
    scene.publish(None)
    replayed = Delivery(1, replay_id=1, attempts=1)
    scene.events.delivered(scene.first, replayed, 200)
    scene.first.dead_letters.append(DeadLetter(A, 1, 1, "rejected", 1, None, 0.0, 400, "", b""))
    scene.events.failed(scene.first, replayed, 400)
    assert scene.awaited.outcomes()[A] == DeliveryState("pending", 0)


def test_what_a_filter_does_not_match_is_settled_unless_it_may_be_a_replay() -> None:
    """While a replay runs the journal is asked."""
    scene = Scene()
    scene.publish(None)
    scene.events.filtered(scene.first, 1)
    assert scene.awaited.outcomes()[A] == DeliveryState("filtered", 0)
    scene.second.add_replay(0, 1, 1)
    scene.events.filtered(scene.second, 1)
    assert scene.awaited.outcomes()[B].state == "pending"
    assert scene.awaited.uncertain


def test_a_lane_that_another_node_had_is_taken_in_when_it_delivers() -> None:
    """Its attempts before are not known."""
    scene = Scene()
    scene.publish(None)
    scene.awaited.drop(A)
    scene.awaited.settle(scene.first.subscriber, DeliveryState("dead"))
    assert scene.awaited.outcomes()[A] == DeliveryState("dead")
    assert set(scene.awaited.subscriptions) == {A, B}


def test_several_may_wait_for_one_event() -> None:
    """Each is told, and one that leaves takes nothing from the others."""
    scene = Scene()
    other = AwaitedEvent("id-1")
    scene.events.add(other)
    scene.publish(None)
    scene.events.remove(scene.awaited)
    scene.deliver(scene.first)
    assert other.outcomes()[A].state == "delivered"
    assert scene.awaited.outcomes()[A].state == "pending"
    scene.events.remove(other)
    assert not scene.events.by_seq


def test_another_journal_makes_all_that_is_known_uncertain() -> None:
    """Numbers stand for other events then; ids do not."""
    scene = Scene()
    scene.publish(None)
    scene.dispatcher.reset(0)
    assert scene.awaited.uncertain
    assert scene.awaited.event is None
    assert not scene.events.by_seq
