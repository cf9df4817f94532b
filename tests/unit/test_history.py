"""The rules of an event's history: its fate for each subscriber that it was accepted for."""

import pytest

from eventbus.core.errors import NotFound
from eventbus.core.records import FailedDelivery
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.history import History
from tests.support.lanes import TAKEN, attempt
from tests.support.memory_node import A, B, C, MemoryNode


class Scene(MemoryNode):
    """A node whose events are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History(self.node)

    def fates(self, event_id: str) -> dict[str, str]:
        """Return the state of an event by subscriber."""
        _, fates = self.history.of(event_id)
        return {fate.subscription.text: fate.state for fate in fates}


def test_an_event_is_pending_until_it_is_delivered() -> None:
    """Each subscriber has its own fate, by address."""
    scene = Scene()
    first, _ = scene.lane(A), scene.lane(B)
    (event,) = scene.publish(None)
    assert scene.fates(event.id) == {A: "pending", B: "pending"}
    attempt(first, TAKEN, 0.0)
    assert scene.fates(event.id) == {A: "delivered", B: "pending"}


def test_who_did_not_want_it_is_not_named() -> None:
    """An event that came before a registration, or with another topic, was not accepted for that subscriber."""
    scene = Scene()
    scene.lane(A, topics=("a",))
    (event,) = scene.publish("b")
    scene.lane(B)
    assert scene.fates(event.id) == {}


def test_what_failed_for_good_is_dead_or_discarded() -> None:
    """As the journal has it, for lanes that are there and for those that have ended."""
    scene = Scene()
    first, second = scene.lane(A), scene.lane(B)
    scene.lane(C)
    (event,) = scene.publish(None)
    attempt(first, TAKEN, 0.0)
    LeaseExpiry(scene.node, lambda _: None).discard(second)
    scene.journal.failed = {event.seq: [FailedDelivery(A, "dead", 3), FailedDelivery(B, "discarded")]}
    assert scene.fates(event.id) == {A: "dead", B: "discarded", C: "pending"}


def test_who_has_left_since_keeps_its_fate() -> None:
    """What was delivered before a subscriber deregistered was delivered."""
    scene = Scene()
    lane = scene.lane(A)
    (event,) = scene.publish(None)
    attempt(lane, TAKEN, 0.0)
    LeaseExpiry(scene.node, lambda _: None).discard(lane)
    assert scene.fates(event.id) == {A: "delivered"}


def test_an_event_that_is_not_there_has_no_history() -> None:
    """NotFound names it."""
    with pytest.raises(NotFound, match="nowhere"):
        Scene().fates("nowhere")


def test_filters_of_many_give_way_to_other_work() -> None:
    """Each filter is asked once, however many subscriptions have it, and other work has a turn before each."""
    scene, turns = Scene(), [0]
    for number in range(20):
        topic = "created" if number % 2 else "paid"
        scene.lane(f"h:{number + 1}", filter=f'{{"exact":{{"topic":"{topic}"}}}}')
    (event,) = scene.publish("paid")
    for lane in scene.node.dispatcher.lanes.values():
        attempt(lane, TAKEN, 0.0)
    scene.node.dispatcher.load.give_way = lambda: turns.append(1)  # type: ignore[method-assign]
    found = scene.fates(event.id)
    assert (list(found.values()).count("delivered"), list(found.values()).count("filtered")) == (10, 10)
    assert sum(turns) == 2
